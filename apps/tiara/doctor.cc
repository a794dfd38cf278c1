// `tiara doctor`: in plain words, what this machine, this user and this program allow, and the cure
// for the rest.
#include <fmt/core.h>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/far_memory_trial.h"
#include "apps/common/machine_checks.h"
#include "apps/tiara/commands.h"

namespace tiara::apps {

int doctor_main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == kTrialArgument) return far_memory_trial_main();
  auto split = split_at_separator(argc, argv);
  CommandLine app(
      "Says whether far memory works here, how, and what to do about what is missing: looks at the "
      "kernel, the privileges and the limits, then runs a small program of its own with far memory "
      "in "
      "both delivery modes. Changes nothing. Exit status 1 when it cannot work.\n\n  tiara doctor "
      "[options] [-- PROGRAM]");
  bool wants_json = false;
  app.add_flag("--json", wants_json, "print JSON");
  if (const auto status = app.parse(static_cast<int>(split.own.size()), split.own.data()))
    return *status;
  if (split.has_separator && split.program.empty())
    return complain(kExitUsage,
                    "no program behind '--'; name one, as in: tiara doctor -- memcached");

  Findings findings;
  check_kernel(findings);
  check_limits(findings);
  check_rdma(findings);
  check_installation(findings);
  if (!blocks(findings)) try_far_memory(findings);
  if (!split.program.empty()) check_program(split.program[0], findings);

  const bool works = !blocks(findings);
  if (wants_json) {
    fmt::print("{}\n", to_json_text(findings));
  } else {
    fmt::print("{}\n{}\n", to_text(findings),
               works ? "Far memory works here."
                     : "Far memory cannot work here: see the lines marked STOP.");
  }
  return works ? kExitOk : kExitFailure;
}

}  // namespace tiara::apps
