#include "nic/isa/program.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "runtime/base/check.h"
#include "runtime/base/hash.h"

namespace tiara::nic {
namespace {

constexpr std::byte kMagic[8] = {std::byte{'T'}, std::byte{'I'}, std::byte{'A'}, std::byte{'R'},
                                 std::byte{'A'}, std::byte{0},   std::byte{0},   std::byte{1}};
constexpr uint8_t kCacheableAttribute = 1;
constexpr uint8_t kRemoteAttribute = 2;

std::unexpected<Error> malformed(std::string what) {
  return fail(ErrorCode::kInvalidInput, "malformed program: " + std::move(what));
}

bool is_name(std::string_view name) {
  const auto is_first = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; };
  if (name.empty() || name.size() > kMaxNameBytes || !is_first(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return is_first(c) || std::isdigit(static_cast<unsigned char>(c));
  });
}

// r0, r15, r123: assembly could not tell such an argument from a register.
bool looks_like_register(std::string_view name) {
  return name.size() > 1 && name[0] == 'r' && name.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

class Writer {
 public:
  void number(uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) out_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  void name(std::string_view name) {
    number(name.size(), 1);
    for (const char c : name) out_.push_back(static_cast<std::byte>(c));
  }
  std::vector<std::byte>& out() { return out_; }

 private:
  std::vector<std::byte> out_;
};

// Reads past the end give zeros and are remembered: the caller checks once.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  uint64_t number(size_t bytes) {
    if (in_.size() - at_ < bytes) {
      is_short_ = true;
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(in_[at_ + i]) << (8 * i);
    at_ += bytes;
    return value;
  }
  std::string name() {
    const size_t length = number(1);
    if (in_.size() - at_ < length) {
      is_short_ = true;
      return {};
    }
    std::string text(reinterpret_cast<const char*>(in_.data()) + at_, length);
    at_ += length;
    return text;
  }
  bool is_short() const { return is_short_; }
  bool is_at_end() const { return at_ == in_.size(); }

 private:
  std::span<const std::byte> in_;
  size_t at_ = 0;
  bool is_short_ = false;
};

std::vector<std::byte> serialize_body(const Program& program) {
  Writer writer;
  writer.out().assign(std::begin(kMagic), std::end(kMagic));
  writer.number(program.version, 4);
  writer.number(program.results, 1);
  writer.number(program.scratchpad_bytes, 2);
  writer.number(program.declared.max_steps, 8);
  writer.number(program.declared.max_reply_bytes, 8);
  writer.name(program.name);
  writer.number(program.regions.size(), 1);
  for (const RegionDeclaration& region : program.regions) {
    writer.number(static_cast<uint8_t>(region.permission), 1);
    writer.number((region.is_cacheable ? kCacheableAttribute : 0u) | (region.is_remote ? kRemoteAttribute : 0u), 1);
    writer.name(region.name);
  }
  writer.number(program.arguments.size(), 1);
  for (const ArgumentContract& argument : program.arguments) {
    writer.number(argument.min, 8);
    writer.number(argument.max, 8);
    writer.number(argument.known_zero, 8);
    writer.name(argument.name);
  }
  writer.number(program.code.size(), 2);
  for (const Instruction& instruction : program.code) writer.number(encode(instruction), 8);
  return std::move(writer.out());
}

Result<void> check_names(const Program& program) {
  if (!is_name(program.name)) return malformed("'" + program.name + "' is not a program name");
  for (size_t i = 0; i < program.regions.size(); ++i) {
    if (!is_name(program.regions[i].name)) return malformed("region " + std::to_string(i) + " has no proper name");
    for (size_t j = 0; j < i; ++j)
      if (program.regions[i].name == program.regions[j].name)
        return malformed("region " + program.regions[i].name + " is declared twice");
  }
  for (size_t i = 0; i < program.arguments.size(); ++i) {
    if (!is_name(program.arguments[i].name) || looks_like_register(program.arguments[i].name))
      return malformed("argument " + std::to_string(i) + " has no proper name");
    for (size_t j = 0; j < i; ++j)
      if (program.arguments[i].name == program.arguments[j].name)
        return malformed("argument " + program.arguments[i].name + " is declared twice");
  }
  return {};
}

Result<void> check_code(std::span<const Instruction> code) {
  if (code.empty()) return malformed("it has no instructions");
  if (code.size() > kMaxInstructions)
    return malformed("more than " + std::to_string(kMaxInstructions) + " instructions");
  for (size_t pc = 0; pc < code.size(); ++pc) {
    const Instruction& instruction = code[pc];
    if (find_instruction(static_cast<uint8_t>(instruction.opcode)) == nullptr)
      return malformed("instruction " + std::to_string(pc) + ": unknown opcode");
    const auto decoded = decode(encode(instruction));
    if (!decoded)
      return malformed("instruction " + std::to_string(pc) + ": " + std::string(to_string(decoded.error())));
    if (*decoded != instruction) return malformed("instruction " + std::to_string(pc) + ": a field is too wide");
  }
  return {};
}

}  // namespace

Result<void> check_well_formed(const Program& program) {
  TIARA_TRY_VOID(check_names(program));
  if (program.regions.size() > kMaxRegions) return malformed("more than 16 regions");
  if (program.arguments.size() > kMaxProgramArguments) return malformed("more than 8 arguments");
  if (program.results > 4) return malformed("more than 4 results");
  if (program.scratchpad_bytes > kMaxScratchpadBytes) return malformed("a scratchpad of more than 4096 bytes");
  for (const RegionDeclaration& region : program.regions) {
    const auto bits = static_cast<uint8_t>(region.permission);
    if (bits == 0 || (bits & ~kPermissionBits) != 0)
      return malformed("region " + region.name + " grants nothing that exists");
  }
  for (const ArgumentContract& argument : program.arguments)
    if (argument.min > argument.max) return malformed("argument " + argument.name + " has min above max");
  return check_code(program.code);
}

std::vector<std::byte> serialize(const Program& program) {
  TIARA_CHECK(check_well_formed(program).has_value());
  std::vector<std::byte> bytes = serialize_body(program);
  const uint64_t hash = hash_bytes(bytes);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(hash >> (8 * i)));
  TIARA_CHECK(bytes.size() <= kMaxContainerBytes);
  return bytes;
}

uint64_t content_hash(const Program& program) { return hash_bytes(serialize_body(program)); }

Result<Program> deserialize(std::span<const std::byte> container) {
  if (container.size() > kMaxContainerBytes) return malformed("larger than any program");
  if (container.size() < sizeof kMagic + 8 || !std::equal(std::begin(kMagic), std::end(kMagic), container.begin()))
    return fail(ErrorCode::kInvalidInput, "not a Tiara program (wrong magic); `tiara asm` makes one from assembly");
  const auto body = container.first(container.size() - 8);
  if (Reader(container.last(8)).number(8) != hash_bytes(body))
    return malformed("its content hash does not match; it was cut or changed after it was written");

  Reader reader(body.subspan(sizeof kMagic));
  Program program;
  program.version = static_cast<uint32_t>(reader.number(4));
  program.results = static_cast<uint8_t>(reader.number(1));
  program.scratchpad_bytes = static_cast<uint16_t>(reader.number(2));
  program.declared.max_steps = reader.number(8);
  program.declared.max_reply_bytes = reader.number(8);
  program.name = reader.name();
  const size_t regions = reader.number(1);
  if (regions > kMaxRegions) return malformed("more than 16 regions");
  for (size_t i = 0; i < regions && !reader.is_short(); ++i) {
    RegionDeclaration& region = program.regions.emplace_back();
    region.permission = static_cast<Permission>(reader.number(1));
    const uint64_t attributes = reader.number(1);
    if ((attributes & ~uint64_t{kCacheableAttribute | kRemoteAttribute}) != 0)
      return malformed("unknown region attributes");
    region.is_cacheable = (attributes & kCacheableAttribute) != 0;
    region.is_remote = (attributes & kRemoteAttribute) != 0;
    region.name = reader.name();
  }
  const size_t arguments = reader.number(1);
  if (arguments > kMaxProgramArguments) return malformed("more than 8 arguments");
  for (size_t i = 0; i < arguments && !reader.is_short(); ++i) {
    ArgumentContract& argument = program.arguments.emplace_back();
    argument.min = reader.number(8);
    argument.max = reader.number(8);
    argument.known_zero = reader.number(8);
    argument.name = reader.name();
  }
  const size_t count = reader.number(2);
  if (count > kMaxInstructions) return malformed("more than 4096 instructions");
  for (size_t pc = 0; pc < count && !reader.is_short(); ++pc) {
    const auto instruction = decode(reader.number(8));
    if (reader.is_short()) break;
    if (!instruction)
      return malformed("instruction " + std::to_string(pc) + ": " + std::string(to_string(instruction.error())));
    program.code.push_back(*instruction);
  }
  if (reader.is_short()) return malformed("it ends in the middle of a field");
  if (!reader.is_at_end()) return malformed("bytes follow the code");
  TIARA_TRY_VOID(check_well_formed(program));
  return program;
}

}  // namespace tiara::nic
