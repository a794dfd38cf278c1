// `tiara run`: starts a program with far memory and reports what it cost.
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "apps/common/child.h"
#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/config_options.h"
#include "apps/common/preflight.h"
#include "apps/common/program.h"
#include "apps/common/runtime_library.h"
#include "apps/common/stats_report.h"
#include "apps/tiara/commands.h"
#include "runtime/os/clock.h"
#include "runtime/residency/page_trace.h"

namespace tiara::apps {
namespace {

// What a terminal, a shell or a supervisor may send to us and means for the program.
constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

// Waits for `child` and passes signals on. Our signals are blocked and taken one at a time: no
// handler, no race.
ChildExit shepherd(Child& child, const sigset_t& signals) {
  while (true) {
    siginfo_t info{};
    const int number = sigwaitinfo(&signals, &info);
    if (number < 0) continue;  // EINTR: stopped and continued by the shell
    if (number == SIGCHLD) {
      if (const auto exit = child.wait_for(std::chrono::milliseconds(0))) return *exit;
      continue;
    }
    // What the terminal sends it sends to the whole foreground group: the program has it already.
    if (info.si_code != SI_KERNEL) child.send(number);
  }
}

struct RunOptions {
  ConfigOptions config;
  std::string stats_path;
  std::string trace_path;
  uint64_t trace_records = 16'000'000;
  bool quiet = false;
};

int run_program(const RunOptions& options, Config config, const std::vector<std::string>& command) {
  const auto program = find_program(command[0]);
  if (!program) return complain(program.error().status, program.error().line);
  if (const auto obstacle = obstacle_to_far_memory(*program))
    return complain(obstacle->status, obstacle->line);
  const auto library = find_runtime_library();
  if (!library) return complain(kExitOsError, library.error().message);
  if (const auto obstacle = preflight(config)) return complain(obstacle->status, obstacle->line);
  // Opened now: nobody wants to learn after hours of work that the file cannot be written.
  std::ofstream stats_file;
  if (!options.stats_path.empty()) {
    stats_file.open(options.stats_path);
    if (!stats_file)
      return complain(kExitUsage, system_error("--stats", options.stats_path).message +
                                      "; name a file that can be written");
  }
  if (!options.trace_path.empty()) {
    if (const auto made = residency::PageTrace::make_file(options.trace_path, options.trace_records); !made)
      return complain(kExitUsage, "--trace: " + made.error().message);
    // The program may change its directory before far memory starts.
    config.trace_path = std::filesystem::absolute(options.trace_path);
  }
  auto stats = StatsFile::create();
  if (!stats) return complain(kExitOsError, stats.error().message);
  config.stats_path = stats->path();

  // Blocked before the program exists, so that no signal can come in between and be lost.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : kForwarded) sigaddset(&signals, number);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  const auto started = os::monotonic_now();
  auto child = Child::spawn({.path = program->path,
                             .arguments = command,
                             .environment = runtime_environment(config, *library),
                             .death_signal = SIGTERM});
  if (!child)
    return complain(kExitCannotExec,
                    child.error().message + "; check the program and its interpreter");
  const ChildExit exit = shepherd(*child, signals);
  const double seconds = std::chrono::duration<double>(os::monotonic_now() - started).count();

  if (!options.quiet) fmt::print(stderr, "{}", summary(*stats, seconds));
  if (!options.trace_path.empty()) {
    const auto lost = residency::PageTrace::finish_file(options.trace_path);
    if (!lost) complain(kExitOsError, "--trace: " + lost.error().message);
    else if (*lost > 0)
      complain(kExitOsError, fmt::format("--trace: {} records did not fit; raise --trace-records", *lost));
  }
  if (!options.stats_path.empty()) {
    stats_file << to_json_text(*stats, {.command = command,
                                        .exit_status = exit.shell_status(),
                                        .wall_seconds = seconds,
                                        .config = config.to_environment()})
               << std::endl;
    if (!stats_file)
      complain(kExitOsError,
               system_error("write", options.stats_path).message + "; the statistics are lost");
  }
  return exit.shell_status();
}

}  // namespace

int run_main(int argc, char** argv) {
  auto split = split_at_separator(argc, argv);
  CommandLine app(
      "Runs a program whose cold memory lives on a memory node.\n\n"
      "  tiara run [options] -- PROGRAM [arguments]");
  RunOptions options;
  options.config.add_to(app, ConfigOptions::Budget::kOption);
  app.add_option("--stats", options.stats_path, "write all statistics to this file, as JSON")
      ->option_text("FILE");
  app.add_option("--trace", options.trace_path, "record which pages arrive, in order, in this file")
      ->option_text("FILE");
  app.add_option("--trace-records", options.trace_records, "how many records the trace may hold (default 16000000)")
      ->option_text("N")
      ->range(uint64_t{1}, uint64_t{1} << 32);
  app.add_flag("--quiet,-q", options.quiet, "no summary on standard error at the end");
  if (!split.has_separator && split.own.size() > 1 && split.own[1][0] != '-')
    return complain(kExitUsage,
                    fmt::format("write '--' before the program, as in: tiara run --local 64M -- {}",
                                split.own[1]));
  if (const auto status = app.parse(static_cast<int>(split.own.size()), split.own.data()))
    return *status;
  if (split.program.empty())
    return complain(
        kExitUsage,
        "no program to run; write it behind '--', as in: tiara run --local 64M -- memcached");
  const auto config = options.config.config();
  if (!config) return complain(kExitUsage, config.error().message);
  return run_program(options, *config, split.program);
}

}  // namespace tiara::apps
