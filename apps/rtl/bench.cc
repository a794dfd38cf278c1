#include "apps/rtl/bench.h"

#include <fmt/core.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/machine.h"
#include "apps/rtl/workloads.h"
#include "nic/engine/interpreter.h"
#include "nic/rtl/dv/core_host.h"
#include "nic/rtl/dv/mover_host.h"

namespace tiara::apps::rtl {
namespace {

constexpr uint32_t kContexts = 64;
constexpr uint32_t kLatencies[] = {25, 100, 225};
constexpr uint32_t kInFlight[] = {1, 2, 4, 8, 16, 32, 64};

struct Options {
  uint64_t invocations = 256;
  uint64_t seed = 1;
  std::string json_path;
};

struct Point {
  double latency = 0;     // cycles from the first beat of the arguments to the last of the reply, mean
  double cycles = 0;      // cycles an invocation, all in flight together
  double waits = 0;       // requests an invocation that memory answers, mean
  uint64_t wrong = 0;
};

// One invocation after the other on each of `in_flight` places, on a core of its own.
class Run {
 public:
  Run(const Workload& workload, uint32_t latency, uint32_t in_flight, uint64_t invocations)
      : workload_(workload), in_flight_(in_flight), invocations_(invocations),
        memory_(workload.memory), regions_(workload.regions(memory_)),
        expected_memory_(workload.memory), expected_regions_(workload.regions(expected_memory_)),
        host_({.min_latency = latency, .max_latency = latency}, nic::rtl::make_cached_64()) {}

  Point run() {
    uint64_t hits = 0;
    // As many come first, untimed, as are in flight: they fill the core, and load it.
    const uint64_t all = in_flight_ + invocations_;
    uint64_t begun = 0;
    while (done_ < all) {
      if (submitted_ - done_ < in_flight_) submit();
      const uint64_t before = done_;
      host_.tick();
      if (before < in_flight_ && done_ >= in_flight_) begun = host_.cycles(), hits = host_.hits();
    }
    const double count = static_cast<double>(invocations_);
    return {latency_sum_ / count, static_cast<double>(host_.cycles() - begun) / count,
            (waits_ - static_cast<double>(host_.hits() - hits)) / count, wrong_};
  }

 private:
  struct Slot {
    nic::rtl::CoreJob job;
    std::vector<uint64_t> arguments;
    std::vector<std::byte> reply;
    nic::Outcome expected;
    std::vector<std::byte> expected_reply;
    uint64_t begun = 0;
    bool is_busy = false;
  };

  void submit() {
    if (slots_.empty()) slots_.resize(in_flight_);
    auto slot = std::find_if(slots_.begin(), slots_.end(), [](const auto& each) { return !each || !each->is_busy; });
    if (!*slot) *slot = std::make_unique<Slot>();
    Slot& s = **slot;
    const auto& program = workload_.program.program();
    s.arguments = workload_.arguments[submitted_ % workload_.arguments.size()];
    s.reply.assign(workload_.reply_bytes, {});
    s.expected_reply.assign(workload_.reply_bytes, {});
    s.expected = interpreter_.run(workload_.program, {.regions = expected_regions_, .arguments = s.arguments,
        .payload = {}, .reply = s.expected_reply});
    s.job = {};
    s.job.code = program.code;
    s.job.regions = &regions_;
    s.job.arguments = s.arguments;
    s.job.reply = s.reply;
    s.job.scratchpad_bytes = program.scratchpad_bytes;
    s.job.stays_loaded = true;
    s.job.cacheable = workload_.cacheable;
    s.job.done = [this, &s](const nic::Outcome& outcome) { finish(s, outcome); };
    s.is_busy = true;
    s.begun = host_.cycles();
    if (host_.try_submit(s.job)) ++submitted_;
    else s.is_busy = false;
  }

  void finish(Slot& slot, const nic::Outcome& outcome) {
    slot.is_busy = false;
    if (!(outcome == slot.expected) || slot.reply != slot.expected_reply) ++wrong_;
    const auto& counts = outcome.counts;
    if (done_++ < in_flight_ || done_ > in_flight_ + invocations_) return;
    latency_sum_ += static_cast<double>(host_.cycles() + 1 - slot.begun);
    // The last line of a gather counts as one: CoreHost answers a bulk operation after one latency.
    waits_ += static_cast<double>(counts.loads + counts.stores + counts.lines + counts.atomics +
                                  (counts.bytes_moved != 0));
  }

  const Workload& workload_;
  uint64_t in_flight_, invocations_;
  std::vector<std::byte> memory_;
  nic::RegionTable regions_;
  std::vector<std::byte> expected_memory_;
  nic::RegionTable expected_regions_;
  nic::Interpreter interpreter_;
  nic::rtl::CoreHost host_;
  std::vector<std::unique_ptr<Slot>> slots_;
  uint64_t submitted_ = 0, done_ = 0, wrong_ = 0;
  double latency_sum_ = 0, waits_ = 0;
};

nlohmann::json run_all(const std::vector<Workload>& workloads, const Options& options, uint64_t& wrong) {
  nlohmann::json points = nlohmann::json::array();
  for (const Workload& workload : workloads)
    for (const uint32_t latency : kLatencies)
      for (const uint32_t in_flight : kInFlight) {
        const uint64_t count = std::max<uint64_t>(options.invocations * in_flight / kContexts,
                                                  std::min<uint64_t>(options.invocations, 16));
        const Point point = Run(workload, latency, in_flight, count).run();
        wrong += point.wrong;
        points.push_back({{"workload", workload.name}, {"memory_latency", latency}, {"in_flight", in_flight},
                          {"latency_cycles", point.latency}, {"cycles_per_invocation", point.cycles},
                          {"memory_waits", point.waits},
                          {"engine_cycles", point.latency - point.waits * latency}});
      }
  return points;
}

// Blocks of 8 KiB through the mover, so many at a time: bytes a cycle over the width of its data.
double gather_share(uint32_t latency, uint32_t in_flight, uint64_t seed, uint64_t& wrong) {
  constexpr uint64_t kBlock = 8192, kBlocks = 64, kWarm = 8;
  std::mt19937_64 random(seed);
  std::vector<std::byte> source(kBlocks * kBlock), reply((kBlocks + 1) * kBlock);
  for (std::byte& each : source) each = static_cast<std::byte>(random());
  std::vector<std::byte> expected = reply;
  nic::rtl::MoverHost host({.min_latency = latency, .max_latency = latency}, source, reply);
  uint64_t submitted = 0, begun = 0;
  while (host.done() < kBlocks) {
    if (submitted < kBlocks && submitted - host.done() < in_flight) {
      const uint64_t from = random() % kBlocks * kBlock, to = submitted * kBlock;
      std::copy_n(source.begin() + static_cast<ptrdiff_t>(from), kBlock,
                  expected.begin() + static_cast<ptrdiff_t>(to));
      host.submit({from, to, kBlock, static_cast<uint8_t>(submitted++)});
    }
    host.tick();
    if (host.done() == kWarm && begun == 0) begun = host.last_done_at();
  }
  if (reply != expected) ++wrong;
  return static_cast<double>((kBlocks - kWarm) * kBlock) / static_cast<double>(host.last_done_at() - begun) /
         nic::rtl::MoverHost::kLineBytes;
}

nlohmann::json run_gathers(const Options& options, uint64_t& wrong) {
  nlohmann::json points = nlohmann::json::array();
  for (const uint32_t latency : kLatencies)
    for (const uint32_t in_flight : kInFlight)
      points.push_back({{"workload", "gather8k_bytes"}, {"memory_latency", latency}, {"in_flight", in_flight},
                        {"bytes_per_cycle_over_width", gather_share(latency, in_flight, options.seed, wrong)}});
  return points;
}

const nlohmann::json& point_of(const nlohmann::json& points, std::string_view name, uint32_t latency,
                               uint32_t in_flight) {
  for (const auto& each : points)
    if (each["workload"] == name && each["memory_latency"] == latency && each["in_flight"] == in_flight) return each;
  return points[0];
}

void print_summary(const nlohmann::json& points, const std::vector<Workload>& workloads) {
  fmt::print("cycles; memory latency 100; engine: alone, without what memory took\n");
  fmt::print("{:<14} {:>7} {:>7} {:>7} {:>9} {:>9}\n",
             "", "alone", "waits", "engine", "each of 8", "each of 64");
  for (const Workload& workload : workloads) {
    const auto& alone = point_of(points, workload.name, 100, 1);
    fmt::print("{:<14} {:>7.0f} {:>7.1f} {:>7.1f} {:>9.1f} {:>9.1f}\n", workload.name,
               alone["latency_cycles"].get<double>(), alone["memory_waits"].get<double>(),
               alone["engine_cycles"].get<double>(),
               point_of(points, workload.name, 100, 8)["cycles_per_invocation"].get<double>(),
               point_of(points, workload.name, 100, 64)["cycles_per_invocation"].get<double>());
  }
}

Result<int> run(const Options& options) {
  TIARA_TRY(const std::vector<Workload> workloads, make_workloads(options.seed));
  uint64_t wrong = 0;
  nlohmann::json points = run_all(workloads, options, wrong);
  const nlohmann::json gathers = run_gathers(options, wrong);
  nlohmann::json json = {
      {"benchmark", "rtl"},
      {"machine", describe_machine()},
      {"configuration", {{"contexts", kContexts}, {"cores", 1}, {"invocations", options.invocations},
                         {"seed", options.seed}}},
      {"ratios", {{"walk4_engine_cycles", point_of(points, "walk4", 100, 1)["engine_cycles"]},
                  {"walk4_saturated_cycles", point_of(points, "walk4", 100, 64)["cycles_per_invocation"]},
                  {"walk4_cached_engine_cycles", point_of(points, "walk4_cached", 100, 1)["engine_cycles"]},
                  {"walk4_cached_memory_waits", point_of(points, "walk4_cached", 100, 1)["memory_waits"]},
                  {"gather_bytes_per_cycle_over_width",
                   point_of(gathers, "gather8k_bytes", 100, 64)["bytes_per_cycle_over_width"]}}},
      {"wrong", wrong}};
  print_summary(points, workloads);
  fmt::print("8 KiB blocks through the mover, share of its width: {:.2f} alone, {:.2f} with 64 in flight\n",
             point_of(gathers, "gather8k_bytes", 100, 1)["bytes_per_cycle_over_width"].get<double>(),
             point_of(gathers, "gather8k_bytes", 100, 64)["bytes_per_cycle_over_width"].get<double>());
  for (const auto& each : gathers) points.push_back(each);
  json["points"] = std::move(points);
  if (!options.json_path.empty()) std::ofstream(options.json_path) << json.dump(2) << "\n";
  fmt::print("wrong: {}\n", wrong);
  return wrong == 0 ? kExitOk : kExitFailure;
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app("Cycles of the hardware engine: page walks, a graph walk, a lock, a gather, on its Verilated model.");
  Options options;
  app.add_option("--invocations", options.invocations, "timed invocations of a point with 64 in flight")
      ->range(1, 1'000'000);
  app.add_option("--seed", options.seed, "seed of tables and graphs");
  app.add_option("--json", options.json_path, "write the result to this file");
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto result = run(options);
  return result ? *result : complain(result.error());
}

}  // namespace tiara::apps::rtl
