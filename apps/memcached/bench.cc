#include "apps/memcached/bench.h"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/config_options.h"
#include "apps/common/progress.h"
#include "apps/memcached/report.h"
#include "apps/memcached/trial.h"

namespace tiara::apps::memcached {
namespace {

// Set by SIGINT, SIGTERM and SIGHUP: the phase in hand ends, and everything is taken down in order.
volatile std::sig_atomic_t interrupted_by = 0;

struct BenchOptions {
  TrialOptions trial;
  std::vector<LocalBudget> locals;
  std::vector<Kind> kinds;
  uint32_t rounds = 1;
  std::string json_path, svg_path, server_cpus, client_cpus;
};

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int number) { interrupted_by = number; };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

// Local first: its resident memory is what the shares are shares of. Then the contestants of each
// share, side by side.
std::vector<Contestant> line_up(const BenchOptions& options) {
  std::vector<Contestant> contestants{{Kind::kLocal, 1, {}}};
  for (const auto& local : options.locals)
    for (const Kind kind : options.kinds)
      if (kind != Kind::kLocal)
        contestants.push_back({kind, local.fraction.value_or(0), local.bytes});
  return contestants;
}

Bytes limit_of(const Contestant& contestant, const Outcome& local) {
  if (contestant.fixed_limit) return *contestant.fixed_limit;
  const double all = static_cast<double>(local.use_after_fill.resident.value);
  return Bytes{round_up(static_cast<uint64_t>(all * contestant.share), kPageSize)};
}

// Of several rounds the one with the median throughput is reported; wrong values and misses of all
// of them count.
Outcome median_of(std::vector<Outcome> rounds) {
  std::vector<double> throughputs;
  LoadCounts all;
  std::vector<std::string> complaints;
  for (const auto& round : rounds) {
    throughputs.push_back(round.measured.gets_per_second());
    all.add(round.all);
    complaints.insert(complaints.end(), round.complaints.begin(), round.complaints.end());
    if (!round.unavailable.empty()) return round;
  }
  std::sort(rounds.begin(), rounds.end(), [](const Outcome& a, const Outcome& b) {
    return a.measured.gets_per_second() < b.measured.gets_per_second();
  });
  Outcome median = rounds[(rounds.size() - 1) / 2];
  median.rounds = throughputs;
  median.all = all;
  median.complaints = complaints;
  return median;
}

Report run_all(const BenchOptions& options) {
  const auto contestants = line_up(options);
  std::vector<std::vector<Outcome>> rounds(contestants.size());
  Progress progress;
  for (uint32_t round = 0; round < options.rounds; ++round) {
    for (size_t i = 0; i < contestants.size() && interrupted_by == 0; ++i) {
      const Bytes limit = i == 0 ? Bytes{} : limit_of(contestants[i], rounds[0][0]);
      const std::string label =
          fmt::format("{}/{} {}", round * contestants.size() + i + 1,
                      options.rounds * contestants.size(), contestants[i].name());
      const TrialHooks hooks{
          .begin = [&](const std::string& phase) { progress.begin(label + ": " + phase); },
          .progress = [&](double share) { progress.update(share); },
          .is_interrupted = [] { return interrupted_by != 0; }};
      rounds[i].push_back(run_trial(contestants[i], options.trial, limit, hooks));
      if (i == 0 && !rounds[0].back().unavailable.empty()) break;  // nothing to compare with
    }
  }
  Report report;
  for (auto& outcomes : rounds)
    if (!outcomes.empty()) report.outcomes.push_back(median_of(std::move(outcomes)));
  return report;
}

nlohmann::json config_json(const BenchOptions& options) {
  const Workload& workload = options.trial.server.workload;
  nlohmann::json json = {
      {"keys", workload.keys},
      {"value_size_bytes", workload.value_size},
      {"values", "incompressible, derived from key and version"},
      {"distribution",
       workload.distribution == Distribution::kZipf ? "zipf 0.99, scrambled" : "uniform"},
      {"protocol", workload.protocol == Protocol::kMeta ? "meta" : "text"},
      {"set_ratio", workload.set_ratio},
      {"connections", workload.connections},
      {"driver_threads", workload.threads},
      {"memcached_threads", options.trial.server.threads},
      {"seed", workload.seed},
      {"seconds", static_cast<double>(options.trial.duration.count()) / 1000},
      {"warm_up_seconds", static_cast<double>(options.trial.warm_up.count()) / 1000},
      {"rounds", options.rounds},
      {"placement",
       fmt::format("server on {}, driver on {}",
                   options.server_cpus.empty() ? "any CPU" : "CPUs " + options.server_cpus,
                   options.client_cpus.empty() ? "any CPU" : "CPUs " + options.client_cpus)}};
  for (const auto& [name, value] : options.trial.server.config.to_environment())
    if (name != "TIARA_STATS" && name != "TIARA_LOCAL" && name != "TIARA_NODE")
      json["runtime"][name] = value;
  return json;
}

Result<void> pin_driver(const std::string& list) {
  if (list.empty()) return {};
  TIARA_TRY(const auto cpus, parse_cpu_list(list));
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    return std::unexpected(system_error("sched_setaffinity", list));
  return {};
}

int finish(const BenchOptions& options, Report report) {
  fmt::print("{}wrong values: {}\n", to_table(report), report.wrong_values());
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << to_json(report, config_json(options)).dump(2) << std::endl;
    if (!file)
      return complain(kExitOsError, system_error("write", options.json_path).message +
                                        "; name a file that can be written with --json");
  }
  if (!options.svg_path.empty())
    if (const auto drawn = plot(report, options.svg_path); !drawn)
      complain(kExitFailure, drawn.error().message);
  if (interrupted_by != 0) {
    complain(kExitFailure, fmt::format("interrupted by SIG{}; everything was taken down",
                                       sigabbrev_np(interrupted_by)));
    return 128 + interrupted_by;
  }
  if (report.wrong_values() > 0)
    return complain(kExitFailure, fmt::format("{} wrong values", report.wrong_values()));
  return report.has_failures() ? kExitFailure : kExitOk;
}

// Texts of the command line, before they are turned into BenchOptions.
struct RawOptions {
  std::string distribution = "uniform", protocol = "meta";
  std::vector<std::string> locals, kinds;
  double seconds = 10, warm_up = 2;
  bool smoke = false;
  ConfigOptions config;
};

void add_options(CommandLine& app, RawOptions& raw, BenchOptions& options) {
  Workload& workload = options.trial.server.workload;
  app.add_option("--local", raw.locals,
                 "memory limits, as shares of the all-local server's or in bytes (default 25%)")
      ->comma_separated()
      ->option_text("P,...");
  app.add_option("--contestants", raw.kinds,
                 "any of local, tiara, tiara-node, tiara-tcp, zram (default local,tiara,zram)")
      ->comma_separated()
      ->option_text("NAME,...");
  app.add_option("--keys", workload.keys, "number of values (default 600000)")
      ->option_text("N")
      ->range(1, 1ul << 32);
  app.add_option("--value-size", workload.value_size, "bytes of a value (default 1024)")
      ->option_text("BYTES")
      ->range(kMinValueSize, 1000000);
  app.add_option("--dist", raw.distribution, "how keys are drawn: uniform (default) or zipf (0.99)")
      ->option_text("D")
      ->one_of({"uniform", "zipf"});
  app.add_option("--set-ratio", workload.set_ratio,
                 "share of SETs among the requests, 0 to 1 (default 0)")
      ->option_text("R")
      ->real_range(0, 1);
  app.add_option("--seconds", raw.seconds, "how long each contestant is measured (default 10)")
      ->option_text("S")
      ->real_range(0.1, 86400);
  app.add_option("--warm-up", raw.warm_up, "seconds of load before measuring (default 2)")
      ->option_text("S")
      ->real_range(0, 3600);
  app.add_option("--rounds", options.rounds,
                 "how often the line-up is run; the median counts (default 1)")
      ->option_text("N")
      ->range(1, 100);
  app.add_option("--connections", workload.connections, "client connections (default 16)")
      ->option_text("N")
      ->range(1, 10000);
  app.add_option("--threads", workload.threads, "threads of the load driver (default 1)")
      ->option_text("N")
      ->range(1, 256);
  app.add_option("--server-threads", options.trial.server.threads,
                 "threads of memcached (default 2)")
      ->option_text("N")
      ->range(1, 64);
  app.add_option("--server-cpus", options.server_cpus,
                 "where memcached may run, as in 0-1 (default anywhere)")
      ->option_text("LIST");
  app.add_option("--client-cpus", options.client_cpus,
                 "where the driver may run (default anywhere)")
      ->option_text("LIST");
  app.add_option("--protocol", raw.protocol, "memcached protocol: meta (default) or text")
      ->option_text("P")
      ->one_of({"meta", "text"});
  app.add_option("--seed", workload.seed, "seed of keys and clients (default 1)")->option_text("N");
  app.add_option("--json", options.json_path, "write all figures to this file")
      ->option_text("FILE");
  app.add_option("--plot", options.svg_path, "draw throughput and p99 (needs gnuplot)")
      ->option_text("FILE.svg");
  app.add_flag("--smoke", raw.smoke,
               "a small run that shows that everything works; its figures mean nothing");
  raw.config.add_to(app, ConfigOptions::Budget::kLeaveOut);
}

Result<void> settle(RawOptions& raw, BenchOptions& options) {
  Workload& workload = options.trial.server.workload;
  if (raw.smoke) {
    workload.keys = std::min<uint64_t>(workload.keys, 40'000);
    raw.seconds = std::min(raw.seconds, 1.0);
    raw.warm_up = std::min(raw.warm_up, 0.2);
  }
  options.trial.duration = std::chrono::milliseconds(std::llround(raw.seconds * 1000));
  options.trial.warm_up = std::chrono::milliseconds(std::llround(raw.warm_up * 1000));
  if (raw.distribution == "zipf") workload.distribution = Distribution::kZipf;
  if (raw.protocol == "text") workload.protocol = Protocol::kText;
  if (raw.locals.empty()) raw.locals = {"25%"};
  for (const auto& text : raw.locals) {
    TIARA_TRY(const LocalBudget local, parse_local_budget(text));
    options.locals.push_back(local);
  }
  TIARA_TRY(options.trial.server.config, raw.config.config());
  const std::string& node = options.trial.server.config.node;
  const bool has_node = node != "loop:";
  if (raw.kinds.empty()) raw.kinds = {"local", has_node ? "tiara-node" : "tiara", "zram"};
  if (has_node) options.trial.server.node_url = node;
  for (const auto& text : raw.kinds) {
    TIARA_TRY(const Kind kind, parse_kind(text));
    options.kinds.push_back(kind);
  }
  if (!options.server_cpus.empty()) {
    TIARA_TRY(options.trial.server.cpus, parse_cpu_list(options.server_cpus));
  }
  return pin_driver(options.client_cpus);
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app(
      "Runs memcached with all its memory local, under Tiara and under kernel swap to zram, one "
      "after the other, at "
      "the same memory limit; checks every byte of every value.");
  RawOptions raw;
  BenchOptions options;
  add_options(app, raw, options);
  if (const auto status = app.parse(argc, argv)) return *status;
  if (const auto settled = settle(raw, options); !settled)
    return complain(kExitUsage, settled.error().message);
  catch_interrupts();
  return finish(options, run_all(options));
}

}  // namespace tiara::apps::memcached
