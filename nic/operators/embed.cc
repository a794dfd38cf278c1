// tiara-embed: at build time, turns operator sources into a C++ file that carries their containers.
// A source that does not assemble, or that the verifier rejects, stops the build with the message a
// programmer would see.
//
//   tiara-embed OUTPUT.cc NAMESPACE SOURCE.tiara...
//
// The output defines `std::span<const nic::BuiltinOperator> NAMESPACE::builtin_operators()`.
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "nic/asm/assembler.h"
#include "nic/isa/program.h"
#include "nic/verifier/verified_program.h"
#include "runtime/base/error.h"

namespace tiara::nic {
namespace {

struct Embedded {
  std::string name;
  std::vector<std::byte> container;
  std::string bounds;  // one line for the reader of the generated file
};

Result<std::string> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, std::string(path) + ": cannot be read");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<Embedded> embed(const char* path) {
  TIARA_TRY(const std::string source, read_file(path));
  TIARA_TRY(Program program, assemble(source, path));
  Embedded embedded{program.name, serialize(program), {}};
  auto verified = verify(std::move(program));
  if (!verified)
    return fail(ErrorCode::kRejected, std::string(path) + ": " + to_string(verified.error()));
  const Bounds& bounds = verified->bounds();
  embedded.bounds = "at most " + std::to_string(bounds.steps) + " steps, " +
                    std::to_string(bounds.reply_bytes) + " reply bytes";
  return embedded;
}

void write_output(std::FILE* out, const char* name_space, const std::vector<Embedded>& operators) {
  std::fprintf(out,
               "// Made by tiara-embed from .tiara sources. Do not edit.\n"
               "#include <array>\n#include <span>\n\n#include \"nic/node/operator_registry.h\"\n\n"
               "namespace %s {\nnamespace {\n\n",
               name_space);
  for (const Embedded& each : operators) {
    std::fprintf(out, "// %s: %s\nalignas(8) constexpr unsigned char k_%s[] = {", each.name.c_str(),
                 each.bounds.c_str(), each.name.c_str());
    for (size_t i = 0; i < each.container.size(); ++i)
      std::fprintf(out, "%s%u,", i % 24 == 0 ? "\n    " : "",
                   static_cast<unsigned>(each.container[i]));
    std::fprintf(out, "\n};\n\n");
  }
  std::fprintf(
      out,
      "}  // namespace\n\nstd::span<const tiara::nic::BuiltinOperator> builtin_operators() {\n"
      "  static const std::array operators{\n");
  for (const Embedded& each : operators)
    std::fprintf(out,
                 "      tiara::nic::BuiltinOperator{\"%s\", std::as_bytes(std::span(k_%s))},\n",
                 each.name.c_str(), each.name.c_str());
  std::fprintf(out, "  };\n  return operators;\n}\n\n}  // namespace %s\n", name_space);
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: tiara-embed OUTPUT.cc NAMESPACE SOURCE.tiara...\n");
    return 64;
  }
  std::vector<Embedded> operators;
  for (int i = 3; i < argc; ++i) {
    auto embedded = embed(argv[i]);
    if (!embedded) {
      std::fprintf(stderr, "%s\n", embedded.error().message.c_str());
      return 1;
    }
    operators.push_back(std::move(*embedded));
  }
  std::FILE* out = std::fopen(argv[1], "w");
  if (out == nullptr) {
    std::perror(argv[1]);
    return 71;
  }
  write_output(out, argv[2], operators);
  return std::fclose(out) == 0 ? 0 : 71;
}

}  // namespace
}  // namespace tiara::nic

int main(int argc, char** argv) {
  return tiara::nic::run(argc, argv);
}
