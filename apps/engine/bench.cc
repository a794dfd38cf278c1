#include "apps/engine/bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/machine.h"
#include "apps/engine/core_share.h"
#include "apps/engine/native_walk.h"
#include "apps/engine/walk_tables.h"
#include "nic/engine/interpreter.h"
#include "nic/engine/jit.h"
#include "nic/verifier/verified_program.h"
#include "pagetable/builtin.h"

namespace tiara::apps::engine {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  uint32_t levels = nic::pool::kDefaultLevels;
  uint32_t rounds = 21;
  uint32_t hot_batches = 200;
  uint32_t cold_batches = 30;
  uint64_t seed = 1;
  std::string json_path;
};

// Hot tables: few enough pages for everything a walk reads to stay in the first-level cache.
constexpr size_t kHotPages = 16;
// Walks of one timed batch: far above the clock's grain, far below a scheduler's time slice. A round's figure is the
// median of its batches, so that neighbours on the CPU do not show in it.
constexpr uint64_t kHotBatch = 1000;
// Cold tables: lines are flushed before a batch, and pages are far apart, so that the TLB misses as well.
constexpr size_t kColdPages = 8192;
constexpr size_t kColdBatch = 64;

double nanoseconds(Clock::duration duration) { return std::chrono::duration<double, std::nano>(duration).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

// Walks `pages` one after the other, each beginning when the last one's entry is known: the latency that a miss sees,
// not what out-of-order execution makes of independent walks. Entries have zero flags, so the page stays what it is.
template <typename Walk>
uint64_t walk_chain(std::span<const uint64_t> pages, uint64_t walks, Walk&& walk) {
  uint64_t sum = 0, last = 0;
  for (uint64_t n = 0, at = 0; n < walks; ++n, at = at + 1 == pages.size() ? 0 : at + 1) {
    last = walk(pages[at] + (last & 1));
    sum += last;
  }
  return sum;
}

struct Contestant {
  std::string name;
  std::function<uint64_t(const WalkTables&, std::span<const uint64_t>, uint64_t)> chain;  // sum of the entries
  std::vector<double> hot_ns, cold_ns;  // of one walk, by round
  uint64_t wrong = 0;

  void forget_round() {
    hot_ns.pop_back();
    cold_ns.pop_back();
  }
};

// Of something that answers an invocation.
template <typename Run>
auto invocation_chain(Run&& run) {
  return [run](const WalkTables& tables, std::span<const uint64_t> pages, uint64_t walks) {
    const nic::RegionTable regions = tables.regions();
    return walk_chain(pages, walks, [&](uint64_t page) {
      return run({.regions = regions, .arguments = {&page, 1}, .payload = {}, .reply = {}}).results[0];
    });
  };
}

auto engine_chain(nic::Engine& engine, const nic::VerifiedProgram& program) {
  return invocation_chain([&](const nic::Invocation& invocation) { return engine.run(program, invocation); });
}

void run_hot(Contestant& contestant, const WalkTables& tables, const Options& options, uint64_t expected) {
  std::vector<double> batches;
  for (uint32_t n = 0; n < options.hot_batches; ++n) {
    const auto start = Clock::now();
    const uint64_t sum = contestant.chain(tables, tables.pages(), kHotBatch);
    batches.push_back(nanoseconds(Clock::now() - start) / kHotBatch);
    if (sum != expected) ++contestant.wrong;
  }
  contestant.hot_ns.push_back(median(batches));
}

void run_cold(Contestant& contestant, const WalkTables& tables, const Options& options, size_t first) {
  std::vector<double> batches;
  for (uint32_t n = 0; n < options.cold_batches; ++n) {
    const size_t at = (first + n * kColdBatch) % (kColdPages - kColdBatch);
    const auto batch = std::span(tables.pages()).subspan(at, kColdBatch);
    uint64_t expected = 0;
    for (const uint64_t page : batch) expected += native_walk(tables.pool(), tables.space(), page);
    for (const uint64_t page : batch) tables.make_cold(page);
    const auto start = Clock::now();
    const uint64_t sum = contestant.chain(tables, batch, kColdBatch);
    batches.push_back(nanoseconds(Clock::now() - start) / kColdBatch);
    if (sum != expected) ++contestant.wrong;
  }
  contestant.cold_ns.push_back(median(batches));
}

// Median of the rounds' ratios: drift of the machine hits both sides of one round alike.
nlohmann::json ratio(const std::vector<double>& ours, const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / theirs[i]);
  return median(ratios);
}

nlohmann::json contestant_json(const Contestant& each) {
  const auto summary = [](const std::vector<double>& values) {
    return nlohmann::json{{"p10", quantile(values, 0.1)}, {"p50", median(values)}, {"p90", quantile(values, 0.9)}};
  };
  return {{"name", each.name},
          {"hot_ns", summary(each.hot_ns)},
          {"cold_ns", summary(each.cold_ns)},
          {"wrong", each.wrong}};
}

// Counts rounds, and has those run again in which a neighbour had part of the core: by what a loop of its own took,
// before and after each contestant, never by what a contestant took. Gives up when that is so in three rounds of four;
// what is reported then comes with `is_shared`.
class Rounds {
 public:
  explicit Rounds(uint32_t wanted) noexcept : wanted_(wanted) {}

  bool want_more() const noexcept { return kept_ < wanted_; }
  uint32_t begun() const noexcept { return kept_ + repeated_; }
  uint32_t repeated() const noexcept { return repeated_; }
  bool is_shared() const noexcept { return is_shared_; }
  double worst_kept() const noexcept { return worst_kept_; }

  void begin() noexcept { worst_ = contention(); }
  void look() noexcept { worst_ = std::max(worst_, contention()); }

  // False: the round does not count.
  bool end() noexcept {
    const bool was_shared = worst_ > kSharedCore;
    if (was_shared && repeated_ < 3 * wanted_) {
      ++repeated_;
      return false;
    }
    is_shared_ |= was_shared;
    worst_kept_ = std::max(worst_kept_, worst_);
    ++kept_;
    return true;
  }

 private:
  const uint32_t wanted_;
  uint32_t kept_ = 0, repeated_ = 0;
  double worst_ = 0, worst_kept_ = 0;
  bool is_shared_ = false;
};

struct Registration {
  double decode_us = 0, verify_us = 0, compile_us = 0;
};

// What a node does with a program that a client sends, step by step; the fastest of some, since the first ones warm
// caches that a node has warm.
Result<Registration> time_registration(std::span<const std::byte> container) {
  Registration best{1e9, 1e9, 1e9};
  for (int n = 0; n < 20; ++n) {
    const auto start = Clock::now();
    TIARA_TRY(nic::Program program, nic::deserialize(container));
    const auto decoded = Clock::now();
    const auto verified = nic::verify(std::move(program));
    const auto accepted = Clock::now();
    if (!verified) return fail(ErrorCode::kRejected, nic::to_string(verified.error()));
    TIARA_TRY(const auto code, nic::compile(*verified, nic::Checks::kElideProved));
    const auto compiled = Clock::now();
    best.decode_us = std::min(best.decode_us, nanoseconds(decoded - start) / 1e3);
    best.verify_us = std::min(best.verify_us, nanoseconds(accepted - decoded) / 1e3);
    best.compile_us = std::min(best.compile_us, nanoseconds(compiled - accepted) / 1e3);
  }
  return best;
}

Result<nic::VerifiedProgram> walk_program(std::span<const std::byte>& container) {
  for (const auto& each : pagetable::builtin_operators()) {
    if (each.name != "pt_walk") continue;
    container = each.container;
    TIARA_TRY(nic::Program program, nic::deserialize(container));
    auto verified = nic::verify(std::move(program));
    if (!verified) return fail(ErrorCode::kRejected, nic::to_string(verified.error()));
    return std::move(*verified);
  }
  return fail(ErrorCode::kNotFound, "pt_walk is not among the built-in operators");
}

void print_summary(const nlohmann::json& json, const std::vector<Contestant>& contestants) {
  const auto& configuration = json["configuration"];
  fmt::print("{}-level walk (pt_walk), ns, median of {} rounds\n{:<12} {:>8} {:>8}\n",
             configuration["levels"].get<uint32_t>(), configuration["rounds"].get<uint32_t>(), "", "hot", "cold");
  for (const Contestant& each : contestants)
    fmt::print("{:<12} {:>8.1f} {:>8.1f}\n", each.name, median(each.hot_ns), median(each.cold_ns));
  fmt::print("native: the walk as a C++ function; operator: the same in an engine's place, invocation to outcome\n");
  const auto &ratios = json["ratios"], &registration = json["registration_us"];
  fmt::print("jit over native: {:.2f} hot, {:.2f} cold; over operator: {:.2f} hot; verified in {:.0f} us, compiled in "
             "{:.0f} us; wrong: {}\n",
             ratios["jit_over_native_hot"].get<double>(), ratios["jit_over_native_cold"].get<double>(),
             ratios["jit_over_operator_hot"].get<double>(), registration["verify"].get<double>(),
             registration["compile"].get<double>(), json["wrong"].get<uint64_t>());
  const auto& core = json["core"];
  if (core["repeated_rounds"] != 0)
    fmt::print("{} more rounds were run and not counted: something else ran on the other thread of this core\n",
               core["repeated_rounds"].get<uint32_t>());
  if (core["is_shared"].get<bool>())
    fmt::print("rounds that count were on a shared core, or this CPU does fewer than four additions at once: what "
               "waits (native) and what computes (JIT, interpreter) cannot be compared; run it on an idle machine\n");
}

Result<int> run(const Options& options) {
  std::span<const std::byte> container;
  TIARA_TRY(const nic::VerifiedProgram program, walk_program(container));
  TIARA_TRY(const Registration registration, time_registration(container));
  nic::Interpreter interpreter;
  TIARA_TRY(const auto jit, nic::JitEngine::create());
  TIARA_TRY_VOID(jit->prepare(program));
  TIARA_TRY(const WalkTables hot, WalkTables::create(options.levels, kHotPages, options.seed));
  TIARA_TRY(const WalkTables cold, WalkTables::create(options.levels, kColdPages, options.seed));

  const auto function = [](const WalkTables& tables, std::span<const uint64_t> pages, uint64_t walks) {
    return walk_chain(pages, walks, [&](uint64_t page) { return native_walk(tables.pool(), tables.space(), page); });
  };
  std::vector<Contestant> contestants;
  contestants.push_back({"native", function, {}, {}, 0});
  contestants.push_back({"operator", invocation_chain(native_operator), {}, {}, 0});
  contestants.push_back({"jit", engine_chain(*jit, program), {}, {}, 0});
  contestants.push_back({"interpreter", engine_chain(interpreter, program), {}, {}, 0});
  const uint64_t expected = function(hot, hot.pages(), kHotBatch);
  Rounds rounds(options.rounds);
  while (rounds.want_more()) {
    rounds.begin();
    for (Contestant& each : contestants) {
      run_hot(each, hot, options, expected);
      rounds.look();
      run_cold(each, cold, options, rounds.begun() * 997);
    }
    if (!rounds.end())
      for (Contestant& each : contestants) each.forget_round();
  }

  const Contestant &of_native = contestants[0], &of_operator = contestants[1];
  const Contestant &of_jit = contestants[2], &of_interpreter = contestants[3];
  nlohmann::json json = {
      {"benchmark", "engine"},
      {"machine", describe_machine()},
      {"configuration", {{"operator", "pt_walk"}, {"levels", options.levels}, {"rounds", options.rounds},
                         {"hot_batches", options.hot_batches}, {"hot_batch", kHotBatch},
                         {"cold_batches", options.cold_batches}, {"cold_batch", kColdBatch}, {"seed", options.seed}}},
      {"registration_us",
       {{"decode", registration.decode_us}, {"verify", registration.verify_us}, {"compile", registration.compile_us},
        {"total", registration.decode_us + registration.verify_us + registration.compile_us}}},
      {"core", {{"contention", rounds.worst_kept()}, {"repeated_rounds", rounds.repeated()},
                {"is_shared", rounds.is_shared()}}},
      {"ratios", {{"jit_over_native_hot", ratio(of_jit.hot_ns, of_native.hot_ns)},
                  {"jit_over_native_cold", ratio(of_jit.cold_ns, of_native.cold_ns)},
                  {"jit_over_operator_hot", ratio(of_jit.hot_ns, of_operator.hot_ns)},
                  {"jit_over_operator_cold", ratio(of_jit.cold_ns, of_operator.cold_ns)},
                  {"interp_over_native_hot", ratio(of_interpreter.hot_ns, of_native.hot_ns)},
                  {"interp_over_native_cold", ratio(of_interpreter.cold_ns, of_native.cold_ns)}}}};
  uint64_t wrong = 0;
  for (const Contestant& each : contestants) {
    json["contestants"].push_back(contestant_json(each));
    wrong += each.wrong;
  }
  json["wrong"] = wrong;
  print_summary(json, contestants);
  if (!options.json_path.empty()) std::ofstream(options.json_path) << json.dump(2) << "\n";
  return wrong == 0 ? kExitOk : kExitFailure;
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app("One page-table walk on the interpreter, on the JIT, and in C++ -O2.");
  Options options;
  app.add_option("--levels", options.levels, "depth of the table")->range(1, nic::pool::kMaxLevels);
  app.add_option("--rounds", options.rounds, "rounds, of which medians are reported")->range(1, 10000);
  app.add_option("--hot-batches", options.hot_batches, "batches of 1000 walks of hot tables in a round")
      ->range(1, 1'000'000);
  app.add_option("--cold-batches", options.cold_batches, "batches of 64 walks of cold tables in a round")
      ->range(1, 1'000'000);
  app.add_option("--seed", options.seed, "seed of the tables");
  app.add_option("--json", options.json_path, "write the result to this file");
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto result = run(options);
  return result ? *result : complain(result.error());
}

}  // namespace tiara::apps::engine
