// `tiara`: a table of subcommands and nothing else.
#include <fmt/core.h>

#include <csignal>
#include <string_view>

#include "apps/common/command.h"
#include "apps/tiara/commands.h"

namespace {

constexpr tiara::apps::Command kCommands[] = {
    {"run", "run a program with far memory", tiara::apps::run_main},
    {"node", "keep the far memory of programs on this machine", tiara::apps::node_main},
    {"doctor", "what this machine allows, and the cure for what it lacks",
     tiara::apps::doctor_main},
    {"cc", "compile a NIC program from C", tiara::apps::cc_main},
    {"asm", "assemble a NIC program", tiara::apps::asm_main},
    {"disasm", "print a NIC program as assembly text", tiara::apps::disasm_main},
    {"verify", "prove a NIC program safe and bounded, or say why not", tiara::apps::verify_main},
    {"exec", "run a NIC program once and show what it did", tiara::apps::exec_main},
    {"bench", "measure Tiara against what it replaces", tiara::apps::bench_main},
};

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away (`tiara doctor | head`) is an error to return, not a reason to die half
  // way through a clean-up. Programs that `tiara run` starts get the default back.
  std::signal(SIGPIPE, SIG_IGN);
  if (argc > 1 &&
      (std::string_view(argv[1]) == "--version" || std::string_view(argv[1]) == "version")) {
    fmt::print("tiara {}\n", TIARA_VERSION);
    return 0;
  }
  return tiara::apps::dispatch("tiara", "tiara: far memory for unmodified programs", kCommands,
                               argc, argv);
}
