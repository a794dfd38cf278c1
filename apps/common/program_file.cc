#include "apps/common/program_file.h"

#include <fmt/core.h>

#include <fstream>
#include <vector>

#include "nic/asm/assembler.h"
#include "runtime/base/config.h"

namespace tiara::apps {
namespace {

// Assembly of the longest program with long comments: a file beyond this is not a program.
constexpr Bytes kMaxSource{4 * kMiB};
constexpr std::string_view kContainerOpening("TIARA\0", 6);

}  // namespace

Result<std::string> read_file(const std::string& path, Bytes limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(system_error("open", path));
  // Piece by piece: a limit of a gibibyte costs nothing for a small file, and pipes have no size to ask for.
  constexpr size_t kPiece = 256 * kKiB;
  std::string bytes;
  for (size_t got = kPiece; got == kPiece && bytes.size() <= limit.value;) {
    const size_t before = bytes.size();
    bytes.resize(before + kPiece);
    file.read(bytes.data() + before, kPiece);
    if (file.bad()) return std::unexpected(system_error("read", path));
    got = static_cast<size_t>(file.gcount());
    bytes.resize(before + got);
  }
  if (bytes.size() > limit.value)
    return fail(ErrorCode::kInvalidInput,
                fmt::format("{}: longer than {}", path, format_bytes(limit)));
  return bytes;
}

Result<void> write_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return std::unexpected(system_error("write", path));
  return {};
}

Result<nic::Program> load_program(const std::string& path) {
  TIARA_TRY(const std::string bytes, read_file(path, kMaxSource));
  if (bytes.starts_with(kContainerOpening)) {
    auto program = nic::deserialize(std::as_bytes(std::span(bytes)));
    if (!program)
      return fail(
          ErrorCode::kInvalidInput,
          fmt::format("{}: corrupt program: {}; assemble it again", path, program.error().message));
    return program;
  }
  if (bytes.find('\0') != std::string::npos)
    return fail(ErrorCode::kInvalidInput,
                fmt::format("{}: neither a program nor assembly text; name a .tiara file", path));
  return nic::assemble(bytes, path);
}

}  // namespace tiara::apps
