#include "apps/fault/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <fstream>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/config_options.h"
#include "apps/common/machine.h"
#include "apps/common/progress.h"
#include "apps/fault/floor.h"
#include "apps/fault/pattern.h"
#include "apps/fault/report.h"
#include "apps/fault/trial.h"

namespace tiara::apps::fault {
namespace {

// Set by SIGINT, SIGTERM and SIGHUP: the worker in hand is ended, and everything is taken down in order.
volatile std::sig_atomic_t interrupted_by = 0;

struct BenchOptions {
  std::string data = "512M";
  std::vector<uint32_t> percents{10, 25, 50, 75};
  std::vector<uint32_t> threads{1, 2, 4};
  std::vector<std::string> percent_texts, thread_texts;
  std::vector<std::string> kinds{"floor", "tiara", "zram", "loop"};
  double seconds = 1.5;
  uint64_t seed = 1;
  bool is_quick = false, is_smoke = false, is_worker = false, is_floor = false;
  std::string json_path, svg_path, cpus;
  ConfigOptions config;
};

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int number) { interrupted_by = number; };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

void add_options(CommandLine& app, BenchOptions& options) {
  app.add_option("--data", options.data, "size of the region that is accessed (default 512M)")->option_text("SIZE");
  app.add_option("--local", options.percent_texts, "how much of it may be here, in percent (default 10,25,50,75)")
      ->comma_separated()
      ->option_text("P,...");
  app.add_option("--threads", options.thread_texts, "numbers of threads (default 1,2,4)")
      ->comma_separated()
      ->option_text("N,...");
  app.add_option("--contestants", options.kinds, "any of floor, tiara, zram, loop (default all)")
      ->comma_separated()
      ->option_text("NAME,...");
  app.add_option("--seconds", options.seconds, "how long each pattern is measured (default 1.5)")
      ->option_text("S")
      ->real_range(0.01, 3600);
  app.add_option("--seed", options.seed, "seed of contents and accesses (default 1)")->option_text("N");
  app.add_option("--cpus", options.cpus, "where the measured process may run, as in 0-1 (default anywhere)")
      ->option_text("LIST");
  app.add_option("--json", options.json_path, "write all figures to this file")->option_text("FILE");
  app.add_option("--plot", options.svg_path, "draw throughput and p99 against the local share (needs gnuplot)")
      ->option_text("FILE.svg");
  app.add_flag("--quick", options.is_quick, "256M, 25 % and 50 %, 1 and 2 threads, 0.7 s a pattern");
  app.add_flag("--smoke", options.is_smoke, "a small run that shows that everything works; its figures mean nothing");
  app.add_flag("--worker", options.is_worker, "be the measured process; the benchmark starts itself with it");
  app.add_flag("--floor", options.is_floor, "with --worker: the floor");
  options.config.add_to(app, ConfigOptions::Budget::kLeaveOut);
}

Result<std::vector<uint32_t>> numbers(const char* option, const std::vector<std::string>& texts, uint32_t most) {
  std::vector<uint32_t> all;
  for (const std::string& text : texts) {
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > most)
      return fail(ErrorCode::kInvalidInput, fmt::format("{}: '{}' is not a number from 1 to {}", option, text, most));
    all.push_back(number);
  }
  return all;
}

Result<TrialOptions> settle(BenchOptions& options) {
  if (!options.percent_texts.empty()) {
    TIARA_TRY(options.percents, numbers("--local", options.percent_texts, 100));
  }
  if (!options.thread_texts.empty()) {
    TIARA_TRY(options.threads, numbers("--threads", options.thread_texts, 64));
  }
  if (options.is_quick) {
    options.data = "256M";
    options.percents = {25, 50};
    options.threads = {1, 2};
    options.seconds = 0.7;
  }
  if (options.is_smoke) {
    options.data = "24M";
    options.percents = {25};
    options.threads = {1, 2};
    options.seconds = 0.05;
  }
  TrialOptions trial;
  TIARA_TRY(trial.worker.data, parse_bytes(options.data));
  const uint32_t most = *std::max_element(options.threads.begin(), options.threads.end());
  if (trial.worker.data.value < uint64_t{most} * 64 * kPageSize)
    return fail(ErrorCode::kInvalidInput, fmt::format("--data {} is too little for {} threads", options.data, most));
  trial.worker.data.value = round_down(trial.worker.data.value, kPageSize);
  trial.worker.threads = options.threads;
  trial.worker.duration = std::chrono::milliseconds(std::llround(options.seconds * 1000));
  trial.worker.seed = options.seed;
  TIARA_TRY(trial.config, options.config.config());
  if (!options.cpus.empty()) {
    TIARA_TRY(trial.cpus, parse_cpu_list(options.cpus));
  }
  return trial;
}

// Side by side at each budget, so that what changes on the machine meets all of them.
Result<std::vector<Contestant>> line_up(const BenchOptions& options) {
  std::vector<Contestant> contestants;
  std::vector<Kind> kinds;
  for (const auto& name : options.kinds) {
    TIARA_TRY(const Kind kind, parse_kind(name));
    if (kind == Kind::kFloor) contestants.push_back({kind, 100});
    else kinds.push_back(kind);
  }
  for (const uint32_t percent : options.percents)
    for (const Kind kind : kinds) contestants.push_back({kind, percent});
  return contestants;
}

nlohmann::json config_json(const BenchOptions& options, const TrialOptions& trial) {
  nlohmann::json json = {{"data_bytes", trial.worker.data.value},
                         {"local_percents", options.percents},
                         {"threads", options.threads},
                         {"seconds_per_pattern", options.seconds},
                         {"seed", options.seed},
                         {"contents", "incompressible, derived from the seed and the address"},
                         {"miss_above_ns", kMissAbove.count()},
                         {"zipf", 0.99},
                         {"placement", options.cpus.empty() ? "any CPU" : "CPUs " + options.cpus}};
  for (const auto& [name, value] : trial.config.to_environment())
    if (name != "TIARA_STATS" && name != "TIARA_LOCAL") json["runtime"][name] = value;
  return json;
}

Report run_all(const std::vector<Contestant>& contestants, const TrialOptions& trial) {
  Report report;
  Progress progress;
  const double lines = static_cast<double>(kPatterns.size() * trial.worker.threads.size());
  for (size_t i = 0; i < contestants.size() && interrupted_by == 0; ++i) {
    const Contestant& contestant = contestants[i];
    progress.begin(contestant.kind == Kind::kFloor
                       ? fmt::format("{}/{} floor", i + 1, contestants.size())
                       : fmt::format("{}/{} {} {}%", i + 1, contestants.size(), to_string(contestant.kind),
                                     contestant.percent));
    report.outcomes.push_back(run_trial(
        contestant, trial, [&](size_t done) { progress.update(static_cast<double>(done) / lines); },
        [] { return interrupted_by != 0; }));
  }
  return report;
}

int finish(const BenchOptions& options, const Report& report) {
  fmt::print("{}", to_table(report));
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << to_json(report).dump(2) << std::endl;
    if (!file)
      return complain(kExitOsError, system_error("write", options.json_path).message +
                                        "; name a file that can be written with --json");
  }
  if (!options.svg_path.empty())
    if (const auto drawn = plot(report, options.svg_path); !drawn) complain(kExitFailure, drawn.error().message);
  if (interrupted_by != 0) {
    complain(kExitFailure,
             fmt::format("interrupted by SIG{}; everything was taken down", sigabbrev_np(interrupted_by)));
    return 128 + interrupted_by;
  }
  if (report.wrong_words() > 0) return complain(kExitFailure, fmt::format("{} wrong words", report.wrong_words()));
  return report.has_failures() ? kExitFailure : kExitOk;
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app(
      "Random and sequential accesses to a region larger than memory: on far memory, on kernel swap to zram and "
      "to a loop device in memory, at the same limit; beside them the floor of a miss. Checks every word.");
  BenchOptions options;
  add_options(app, options);
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto trial = settle(options);
  if (!trial) return complain(kExitUsage, trial.error().message);
  if (options.is_worker) return options.is_floor ? run_floor(trial->worker) : run_worker(trial->worker);
  const auto contestants = line_up(options);
  if (!contestants) return complain(kExitUsage, contestants.error().message);
  catch_interrupts();
  Report report = run_all(*contestants, *trial);
  report.config = config_json(options, *trial);
  return finish(options, report);
}

}  // namespace tiara::apps::fault
