#include "apps/pagewalk/bench.h"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/latency.h"
#include "apps/common/machine.h"
#include "apps/common/progress.h"
#include "apps/pagewalk/rig.h"
#include "runtime/os/clock.h"

namespace tiara::apps::pagewalk {
namespace {

struct Options {
  std::string levels = "1-5";
  uint32_t first_level = 1, last_level = 5;
  uint64_t iterations = 20'000;
  uint32_t rounds = 10;  // contestants take turns, so that a disturbance meets all of them
  uint64_t pages = 1024;
  uint64_t seed = 1;
  std::string node_cpus, client_cpus, inject, listen, json_path;
  bool smoke = false;
};

struct Measured {
  LatencyHistogram latency;
  std::vector<uint64_t> round_p50;  // nanoseconds
  uint64_t finds = 0, round_trips = 0, failures = 0, wrong = 0, digest = 0;
  VerbsCounts verbs;

  double per_find(uint64_t count) const {
    return static_cast<double>(count) / static_cast<double>(std::max<uint64_t>(finds, 1));
  }
  double round_trips_per_find() const { return per_find(round_trips); }
  double p50_us() const { return static_cast<double>(latency.quantile(0.5)) / 1e3; }
  double p99_us() const { return static_cast<double>(latency.quantile(0.99)) / 1e3; }
};

using LevelResult = std::array<std::array<Measured, std::size(kContestants)>, std::size(kTasks)>;

struct Report {
  std::vector<std::pair<uint32_t, LevelResult>> levels;
  uint64_t wrong() const {
    uint64_t total = 0;
    for (const auto& [level, tasks] : levels)
      for (const auto& contestants : tasks)
        for (const Measured& each : contestants) total += each.wrong + each.failures;
    return total;
  }
};

const Measured& of(const LevelResult& result, Task task, Contestant contestant) {
  return result[static_cast<size_t>(task)][static_cast<size_t>(contestant)];
}

void measure(Rig& rig, Task task, Contestant contestant, uint64_t finds, Random& random,
             Measured& measured) {
  LatencyHistogram round;
  for (uint64_t i = 0; i < finds; ++i) {
    const size_t index = random.below(rig.page_count());
    const uint64_t before = rig.round_trips();
    const VerbsCounts verbs_before = rig.verbs();
    const auto start = os::monotonic_now();
    const bool is_found = rig.find(contestant, task, index);
    const auto end = os::monotonic_now();
    round.record(static_cast<uint64_t>((end - start).count()));
    ++measured.finds;
    measured.round_trips += rig.round_trips() - before;
    const VerbsCounts verbs = rig.verbs();
    measured.verbs.sends += verbs.sends - verbs_before.sends;
    measured.verbs.answers += verbs.answers - verbs_before.answers;
    measured.verbs.reads += verbs.reads - verbs_before.reads;
    if (!is_found) {
      ++measured.failures;
      continue;
    }
    if (!rig.is_right(task, index)) ++measured.wrong;
    measured.digest +=
        rig.digest(task);  // of all contestants alike: they find the same pages in the same order
  }
  measured.round_p50.push_back(round.quantile(0.5));
  measured.latency.add(round);
}

Result<LevelResult> measure_level(const Options& options, uint32_t level, Progress& progress) {
  RigOptions rig_options{
      .levels = level, .pages = options.pages, .seed = options.seed, .node_cpus = {}, .faults = {},
      .listen = options.listen};
  if (!options.node_cpus.empty()) {
    TIARA_TRY(rig_options.node_cpus, parse_cpu_list(options.node_cpus));
  }
  if (!options.inject.empty()) {
    TIARA_TRY(rig_options.faults, nic::parse_fault_plan(options.inject));
  }
  progress.begin(fmt::format("{} level{}", level, level == 1 ? "" : "s"));
  TIARA_TRY(const auto rig, Rig::create(rig_options));
  LevelResult result{};
  const uint64_t finds = std::max<uint64_t>(options.iterations / options.rounds, 1);
  for (uint32_t round = 0; round <= options.rounds; ++round) {
    for (const Task task : kTasks)
      for (const Contestant contestant : kContestants) {
        // Round 0 warms up and is thrown away. The same seed for all: the same pages in the same
        // order.
        Random random(options.seed * 1000 + round);
        Measured warm_up;
        Measured& target = result[static_cast<size_t>(task)][static_cast<size_t>(contestant)];
        measure(*rig, task, contestant, round == 0 ? std::min<uint64_t>(finds, 500) : finds, random,
                round == 0 ? warm_up : target);
      }
    progress.update(static_cast<double>(round) / options.rounds);
  }
  return result;
}

// --- report ---

double reduction(double ours, double theirs) {
  return theirs > 0 ? 1 - ours / theirs : 0;
}

// 1 - operator / one-sided, of the medians, with the least and the greatest of the rounds.
nlohmann::json reduction_json(const LevelResult& result, Task task) {
  const Measured& ours = of(result, task, Contestant::kOperator);
  const Measured& theirs = of(result, task, Contestant::kOneSided);
  std::vector<double> rounds;
  for (size_t i = 0; i < ours.round_p50.size(); ++i)
    rounds.push_back(reduction(static_cast<double>(ours.round_p50[i]),
                               static_cast<double>(theirs.round_p50[i])));
  return {{"p50", reduction(ours.p50_us(), theirs.p50_us())},
          {"p99", reduction(ours.p99_us(), theirs.p99_us())},
          {"p50_least_round", *std::min_element(rounds.begin(), rounds.end())},
          {"p50_greatest_round", *std::max_element(rounds.begin(), rounds.end())}};
}

nlohmann::json ratios_json(const Report& report) {
  nlohmann::json ratios = {{"pagewalk_latency_reduction", nullptr}};
  for (const auto& [level, result] : report.levels) {
    ratios["by_level"][std::to_string(level)] = {
        {"walk_reduction", reduction_json(result, Task::kWalk)},
        {"page_reduction", reduction_json(result, Task::kPage)},
        {"walk_operator_over_rpc", of(result, Task::kWalk, Contestant::kOperator).p50_us() /
                                       of(result, Task::kWalk, Contestant::kRpc).p50_us()},
        {"page_operator_over_cached", of(result, Task::kPage, Contestant::kOperator).p50_us() /
                                          of(result, Task::kPage, Contestant::kCached).p50_us()}};
    if (level != 4) continue;
    const nlohmann::json walk = reduction_json(result, Task::kWalk);
    ratios["pagewalk_latency_reduction"] = walk["p50"];
    ratios["pagewalk_latency_reduction_spread"] = {walk["p50_least_round"],
                                                   walk["p50_greatest_round"]};
  }
  return ratios;
}

nlohmann::json to_json(const Report& report, const Options& options) {
  nlohmann::json results = nlohmann::json::array();
  for (const auto& [level, result] : report.levels)
    for (const Task task : kTasks)
      for (const Contestant contestant : kContestants) {
        const Measured& measured = of(result, task, contestant);
        results.push_back({{"levels", level},
                           {"task", to_string(task)},
                           {"contestant", to_string(contestant)},
                           {"round_trips", measured.round_trips_per_find()},
                           {"sends", measured.per_find(measured.verbs.sends)},
                           {"answers", measured.per_find(measured.verbs.answers)},
                           {"reads", measured.per_find(measured.verbs.reads)},
                           {"p50_us", measured.p50_us()},
                           {"p99_us", measured.p99_us()},
                           {"p999_us", static_cast<double>(measured.latency.quantile(0.999)) / 1e3},
                           {"mean_us", measured.latency.mean() / 1e3},
                           {"finds", measured.finds},
                           {"failures", measured.failures},
                           {"wrong", measured.wrong},
                           {"digest", fmt::format("{:016x}", measured.digest)}});
      }
  return {{"benchmark", "pagewalk"},
          {"machine", describe_machine()},
          {"config",
           {{"transport", (options.listen.empty() ? std::string("shm") : options.listen) +
                              ", one node process, one worker, one client thread"},
            {"levels", options.levels},
            {"iterations", options.iterations},
            {"rounds", options.rounds},
            {"pages", options.pages},
            {"seed", options.seed},
            {"client_cpus", options.client_cpus.empty() ? "any" : options.client_cpus},
            {"node_cpus", options.node_cpus.empty() ? "any" : options.node_cpus},
            {"inject", options.inject},
            {"smoke", options.smoke}}},
          {"results", results},
          {"ratios", ratios_json(report)},
          {"wrong", report.wrong()}};
}

void print_table(const Report& report) {
  fmt::print("{:<7}{:<6}{:<12}{:>7}{:>10}{:>10}{:>13}\n", "levels", "task", "contestant", "trips",
             "p50 us", "p99 us", "of one-sided");
  for (const auto& [level, result] : report.levels)
    for (const Task task : kTasks)
      for (const Contestant contestant : kContestants) {
        const Measured& measured = of(result, task, contestant);
        fmt::print("{:<7}{:<6}{:<12}{:>7.2f}{:>10.2f}{:>10.2f}{:>12.0f}%\n", level, to_string(task),
                   to_string(contestant), measured.round_trips_per_find(), measured.p50_us(),
                   measured.p99_us(),
                   100 * measured.p50_us() / of(result, task, Contestant::kOneSided).p50_us());
      }
}

int finish(const Report& report, const Options& options) {
  print_table(report);
  const nlohmann::json json = to_json(report, options);
  if (const auto& figure = json["ratios"]["pagewalk_latency_reduction"]; figure.is_number())
    fmt::print(
        "4 levels, walk only: the operator's latency is {:.0f} % below the one-sided walk's\n",
        100 * figure.get<double>());
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << json.dump(2) << std::endl;
    if (!file)
      return complain(kExitOsError, system_error("write", options.json_path).message +
                                        "; name a file that can be written with --json");
  }
  if (report.wrong() != 0)
    return complain(kExitFailure,
                    fmt::format("{} finds failed or brought something else", report.wrong()));
  for (const auto& [level, result] : report.levels)
    for (const Task task : kTasks)
      if (const Measured& ours = of(result, task, Contestant::kOperator);
          ours.round_trips != ours.finds)
        return complain(kExitFailure,
                        fmt::format("the operator took {:.2f} round trips at {} levels, not 1",
                                    ours.round_trips_per_find(), level));
  return kExitOk;
}

Result<void> settle(Options& options) {
  const auto refuse = [&] {
    return fail(
        ErrorCode::kInvalidInput,
        fmt::format("--levels {}: use a depth or a range of depths within 1-5", options.levels));
  };
  const std::string& text = options.levels;
  const auto is_depth = [](char c) { return c >= '1' && c <= '5'; };
  if (text.size() != 1 && (text.size() != 3 || text[1] != '-')) return refuse();
  if (!is_depth(text.front()) || !is_depth(text.back()) || text.front() > text.back())
    return refuse();
  options.first_level = static_cast<uint32_t>(text.front() - '0');
  options.last_level = static_cast<uint32_t>(text.back() - '0');
  if (!options.inject.empty()) {
    TIARA_TRY_VOID(nic::parse_fault_plan(options.inject));
  }
  if (options.smoke) {
    options.iterations = std::min<uint64_t>(options.iterations, 200);
    options.rounds = std::min(options.rounds, 2u);
    options.pages = std::min<uint64_t>(options.pages, 128);
  }
  if (options.client_cpus.empty()) return {};
  TIARA_TRY(const auto cpus, parse_cpu_list(options.client_cpus));
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    return std::unexpected(system_error("sched_setaffinity", options.client_cpus));
  return {};
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app(
      "Finds random pages through a page table on a memory node (a process of its own, over shared "
      "memory).");
  Options options;
  app.add_option("--levels", options.levels, "depths of the table, 1 to 5 (default 1-5)")
      ->option_text("N or N-M");
  app.add_option("--iterations", options.iterations,
                 "finds of each contestant at each depth (default 20000)")
      ->option_text("N")
      ->range(1, 1ul << 32);
  app.add_option("--rounds", options.rounds, "turns that the contestants take (default 10)")
      ->option_text("N")
      ->range(1, 1000);
  app.add_option("--pages", options.pages, "pages stored at random places (default 1024)")
      ->option_text("N")
      ->range(1, 1ul << 20);
  app.add_option("--seed", options.seed, "seed of places and order (default 1)")->option_text("N");
  app.add_option("--node-cpus", options.node_cpus,
                 "where the node may run, as in 0-1 (default anywhere)")
      ->option_text("LIST");
  app.add_option("--client-cpus", options.client_cpus,
                 "where the client may run (default anywhere)")
      ->option_text("LIST");
  app.add_option("--inject", options.inject,
                 "a longer link and a modelled device, as in 'one_way=1us,access=750ns,cycle=5ns'")
      ->option_text("PLAN");
  app.add_option("--listen", options.listen,
                 "where the node serves: tcp://HOST:PORT or rdma://ADDRESS:PORT, of this machine (default: shared "
                 "memory)")
      ->option_text("URL");
  app.add_option("--json", options.json_path, "write all figures to this file")
      ->option_text("FILE");
  app.add_flag("--smoke", options.smoke,
               "a small run that shows that everything works; its figures mean nothing");
  if (const auto status = app.parse(argc, argv)) return *status;
  if (const auto settled = settle(options); !settled)
    return complain(kExitUsage, settled.error().message);
  Report report;
  Progress progress;
  for (uint32_t level = options.first_level; level <= options.last_level; ++level) {
    auto result = measure_level(options, level, progress);
    if (!result) {
      progress.clear();
      return complain(result.error());
    }
    report.levels.emplace_back(level, std::move(*result));
  }
  progress.clear();
  return finish(report, options);
}

}  // namespace tiara::apps::pagewalk
