// `tiara verify`: may a memory node run this program?
#include "nic/verifier/analysis.h"

#include <fmt/core.h>


#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/program_file.h"
#include "apps/tiara/commands.h"
#include "nic/asm/disassembler.h"

namespace tiara::apps {

int verify_main(int argc, char** argv) {
  CommandLine app("Proves a NIC program safe and bounded, or says why not (exit status 1).");
  std::string path;
  bool wants_explanation = false;
  app.add_option("file", path, "a program or its assembly text")->required()->option_text("FILE");
  app.add_flag("--explain", wants_explanation,
               "print what is known and proved at each instruction");
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto program = load_program(path);
  if (!program) return complain(kExitDataError, program.error().message);
  const auto print = [](const nic::Program& whole, uint32_t pc) {
    return pc < whole.code.size() ? nic::disassemble(whole, whole.code[pc]) : std::string();
  };
  const auto analysis = nic::analyze(*program);
  if (!analysis)
    return complain(
        kExitFailure,
        fmt::format("{}: rejected: {}", path,
                    to_string(analysis.error(), print(*program, analysis.error().instruction))));
  fmt::print("{}: accepted: {} version {}, {} instructions, hash {:016x}\n", path, program->name,
             program->version, program->code.size(), nic::content_hash(*program));
  if (wants_explanation)
    fmt::print("{}", nic::explain(*program, *analysis, print));
  else
    fmt::print("{}worst case {:.2f} us on an FPGA NIC behind PCIe\n",
               nic::describe(analysis->bounds), static_cast<double>(analysis->worst_case_ps) / 1e6);
  return kExitOk;
}

}  // namespace tiara::apps
