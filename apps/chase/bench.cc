#include "apps/chase/bench.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/chase/worker.h"
#include "apps/common/child.h"
#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/config_options.h"
#include "apps/common/machine.h"
#include "apps/common/runtime_library.h"

namespace tiara::apps::chase {
namespace {

struct BenchOptions {
  std::string data = "128M";
  uint32_t percent = 25;
  uint32_t hops = 10;
  std::vector<std::string> delays{"0ns", "2us", "10us"};
  double seconds = 2;
  uint64_t seed = 1;
  bool is_smoke = false, is_worker = false, follows = false;
  std::string order = "turn";
  std::string json_path;
  ConfigOptions config;
};

void add_options(CommandLine& app, BenchOptions& options) {
  app.add_option("--data", options.data, "memory of all objects, one a page (default 128M)")->option_text("SIZE");
  app.add_option("--local", options.percent, "how much of it may be here, in percent (default 25)")
      ->option_text("P")
      ->range(1, 100);
  app.add_option("--hops", options.hops, "pointers of a list (default 10)")->option_text("N")->range(1, 32);
  app.add_option("--order", options.order,
                 "walk the lists each in its turn, all of it away by then, or at random (default turn)")
      ->one_of({"turn", "random"});
  app.add_option("--one-way", options.delays, "delays that are added each way, to all alike (default 0ns,2us,10us)")
      ->comma_separated()
      ->option_text("TIME,...");
  app.add_option("--seconds", options.seconds, "how long each contestant is measured (default 2)")
      ->option_text("S")
      ->real_range(0.01, 3600);
  app.add_option("--seed", options.seed, "seed of the lists and the walks (default 1)")->option_text("N");
  app.add_option("--json", options.json_path, "write all figures to this file")->option_text("FILE");
  app.add_flag("--smoke", options.is_smoke, "a small run that shows that everything works; its figures mean nothing");
  app.add_flag("--worker", options.is_worker, "be the measured process; the benchmark starts itself with it");
  app.add_flag("--follow", options.follows, "with --worker: have the node follow the links");
  options.config.add_to(app, ConfigOptions::Budget::kLeaveOut);
}

Result<nlohmann::json> read_answer(Child& child, const UniqueFd& output) {
  std::string text;
  constexpr int kSilenceMs = 120'000;  // filling takes seconds; nothing at all for longer is a hang
  for (;;) {
    pollfd ready{output.get(), POLLIN, 0};
    if (poll(&ready, 1, kSilenceMs) <= 0) return fail(ErrorCode::kTimedOut, "the worker hangs");
    char buffer[4096];
    const ssize_t got = read(output.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  const auto exit = child.wait_for(std::chrono::seconds(30));
  if (!exit) return fail(ErrorCode::kTimedOut, "the worker does not end");
  auto answer = nlohmann::json::parse(text, nullptr, false);
  if (answer.is_discarded() || !answer.is_object())
    return fail(ErrorCode::kUnavailable, "the worker " + exit->describe() + " and said: " + text);
  return answer;
}

Result<nlohmann::json> run_contestant(const BenchOptions& options, const Config& config, bool follows) {
  TIARA_TRY(const std::string library, find_runtime_library());
  ChildOptions child{.path = "/proc/self/exe",
                     .arguments = {"tiara", "bench", "chase", "--worker", "--data", options.data, "--hops",
                                   std::to_string(options.hops), "--seconds", fmt::format("{}", options.seconds),
                                   "--seed", std::to_string(options.seed), "--order", options.order},
                     .environment = runtime_environment(config, library),
                     .death_signal = SIGKILL};
  if (follows) child.arguments.emplace_back("--follow");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(system_error("pipe2"));
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  child.standard_output = input.get();
  TIARA_TRY(Child worker, Child::spawn(child));
  input = UniqueFd();
  return read_answer(worker, output);
}

std::string with_delay(const std::string& plan, const std::string& delay) {
  return plan.empty() ? "one_way=" + delay : plan + ",one_way=" + delay;
}

Result<nlohmann::json> run_all(const BenchOptions& options) {
  TIARA_TRY(Config config, options.config.config());
  TIARA_TRY(const Bytes data, parse_bytes(options.data));
  constexpr uint64_t kProcessMemory = 12 * kMiB;  // code, stacks, the list of heads
  config.local = LocalBudget{Bytes{data.value * options.percent / 100 + kProcessMemory}, std::nullopt};
  if (config.pool.value == 0) config.pool = Bytes{data.value * 5 / 4 + 64 * kMiB};
  const std::string plan = config.inject;
  nlohmann::json rows = nlohmann::json::array();
  fmt::print("{:>8} {:<12} {:>9} {:>10} {:>10} {:>18}\n", "one way", "links", "walks", "p50 us", "p99 us",
             "round trips/walk");
  for (const std::string& delay : options.delays) {
    config.inject = with_delay(plan, delay);
    for (const bool follows : {false, true}) {
      const char* name = follows ? "by the node" : "hop by hop";
      TIARA_TRY(nlohmann::json row, run_contestant(options, config, follows));
      fmt::print("{:>8} {:<12} {:>9} {:>10.2f} {:>10.2f} {:>18.2f}\n", delay, name, row.at("walks").get<uint64_t>(),
                 row.at("p50_ns").get<double>() / 1000, row.at("p99_ns").get<double>() / 1000,
                 row.at("round_trips_per_walk").get<double>());
      row["one_way"] = delay;
      row["links"] = name;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app(
      "A linked list over far memory, every object on a page of its own: hop by hop, one round trip each, and with the "
      "memory node following the links (tiara_follow), at the same delay and the same local memory.");
  BenchOptions options;
  add_options(app, options);
  if (const auto status = app.parse(argc, argv)) return *status;
  if (options.is_smoke) {
    options.data = "48M";
    options.seconds = 0.1;
    options.delays = {"0ns"};
  }
  const auto data = parse_bytes(options.data);
  if (!data) return complain(kExitUsage, data.error().message);
  if (options.is_worker)
    return run_worker({.data = *data,
                       .hops = options.hops,
                       .follows = options.follows,
                       .order = options.order == "random" ? Order::kRandom : Order::kInTurn,
                       .duration = std::chrono::milliseconds(std::llround(options.seconds * 1000)),
                       .seed = options.seed});
  const auto rows = run_all(options);
  if (!rows) return complain(kExitFailure, rows.error().message);
  uint64_t wrong = 0;
  for (const auto& row : *rows) wrong += row.at("wrong").get<uint64_t>();
  fmt::print("wrong walks: {}\n", wrong);
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << nlohmann::json{{"benchmark", "chase"},
                           {"machine", describe_machine()},
                           {"config",
                            {{"data", options.data},
                             {"local_percent", options.percent},
                             {"hops", options.hops},
                             {"order", options.order},
                             {"seconds", options.seconds},
                             {"seed", options.seed}}},
                           {"rows", *rows},
                           {"wrong_walks", wrong}}
                .dump(2)
         << std::endl;
    if (!file)
      return complain(kExitOsError, system_error("write", options.json_path).message +
                                        "; name a file that can be written with --json");
  }
  return wrong == 0 ? kExitOk : kExitFailure;
}

}  // namespace tiara::apps::chase
