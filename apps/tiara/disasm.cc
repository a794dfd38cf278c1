// `tiara disasm`: a program container to assembly text that assembles to the same program.
#include <fmt/core.h>


#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/program_file.h"
#include "apps/tiara/commands.h"
#include "nic/asm/disassembler.h"

namespace tiara::apps {

int disasm_main(int argc, char** argv) {
  CommandLine app("Prints a NIC program as assembly text.");
  std::string path;
  app.add_option("file", path, "a program (from 'tiara asm')")->required()->option_text("FILE");
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto program = load_program(path);
  if (!program) return complain(kExitDataError, program.error().message);
  fmt::print("{}", nic::disassemble(*program));
  return kExitOk;
}

}  // namespace tiara::apps
