// timing: the delay model (nic/timing) against the RTL, over every operator that comes with the project, each
// invocation alone on the core, at three memory latencies. Fails when the model is more than five per cent off for an
// operator, when the estimate from the counts is more than fifteen off for one of the page table's, or when an operator
// was not run. "worst" is the single run that the model is furthest off for.
#include <cmath>
#include <cstdio>
#include <map>
#include <string>

#include "nic/rtl/dv/core_host.h"
#include "nic/timing/engine_timing.h"
#include "tests/rtl/operator_runs.h"

namespace tiara::nic::rtl {
namespace {

constexpr double kTolerance = 0.05;
constexpr double kCountsTolerance = 0.15;  // of what is estimated from the counts alone, for the page table's operators

struct Sums {
  uint64_t runs = 0;
  double rtl = 0, model = 0, estimate = 0;
  double worst = 0;  // of a single run, by the model
};

class Bench {
 public:
  explicit Bench(uint32_t latency)
      : latency_(latency), host_({.min_latency = latency, .max_latency = latency}, make_cached_64()) {}

  // On the core; the model is shown what the core does.
  Outcome run(const OperatorRun& each) {
    const auto& code = each.program.program().code;
    std::vector<std::byte> reply(each.program.bounds().reply_bytes);
    EngineTiming timing(code, each.arguments.size());
    Outcome outcome;
    uint64_t ended = 0;
    CoreJob job;
    job.code = code;
    job.regions = &each.regions;
    job.arguments = each.arguments;
    job.payload = each.payload;
    job.reply = reply;
    job.remote = each.remote;
    job.scratchpad_bytes = each.program.program().scratchpad_bytes;
    job.stays_loaded = true;
    job.begins = [&](uint32_t pc, const std::array<uint64_t, kRegisters>& registers) {
      timing.observe(code[pc], registers);
    };
    job.done = [&](const Outcome& given) {
      outcome = given;
      ended = host_.cycles() + 1;
    };
    if (!host_.try_submit(job)) return {};  // the store holds all operators
    const uint64_t begun = host_.cycles();
    while (!host_.is_idle()) host_.tick();

    const auto rtl = static_cast<double>(ended - begun), model = static_cast<double>(timing.cost().total(latency_));
    Sums& sums = sums_[std::string(each.name)];
    ++sums.runs;
    sums.rtl += rtl;
    sums.model += model;
    sums.estimate += static_cast<double>(estimate(outcome.counts).total(latency_));
    if (std::abs(model / rtl - 1) > std::abs(sums.worst)) sums.worst = model / rtl - 1;
    if (outcome.status != Status::kOk)
      printf("%.*s: status %u, code %u at %u\n", static_cast<int>(each.name.size()), each.name.data(),
             static_cast<unsigned>(outcome.status), outcome.code, outcome.pc);
    return outcome;
  }

  // How many are wrong.
  int report() const {
    int wrong = 0;
    for (const std::string_view name : all_operator_names()) {
      const auto found = sums_.find(std::string(name));
      if (found == sums_.end()) {
        printf("%.*s: not run\n", static_cast<int>(name.size()), name.data());
        ++wrong;
        continue;
      }
      const Sums& sums = found->second;
      const double off = sums.model / sums.rtl - 1, runs = static_cast<double>(sums.runs);
      const double by_counts = sums.estimate / sums.rtl - 1;
      const bool is_within = std::abs(off) <= kTolerance &&
                             (!name.starts_with("pt_") || std::abs(by_counts) <= kCountsTolerance);
      wrong += !is_within;
      printf("%-18s %4u %4llu %9.1f %9.1f %+6.1f %% %+6.1f %% %9.1f %+6.1f %%%s\n", found->first.c_str(), latency_,
             static_cast<unsigned long long>(sums.runs), sums.rtl / runs, sums.model / runs, 100 * off,
             100 * sums.worst, sums.estimate / runs, 100 * by_counts,
             is_within ? "" : "  <- too far");
    }
    return wrong;
  }

 private:
  uint32_t latency_;
  CoreHost host_;
  std::map<std::string, Sums> sums_;
};

int run() {
  int wrong = 0;
  printf("%-18s %4s %4s %9s %9s %8s %8s %9s %8s\n", "operator", "mem", "runs", "RTL", "model", "off", "worst",
         "by counts", "off");
  for (const uint32_t latency : {25u, 100u, 225u}) {
    Bench bench(latency);
    wrong += !run_all_operators([&](const OperatorRun& each) { return bench.run(each); });
    wrong += bench.report();
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tiara::nic::rtl

int main() { return tiara::nic::rtl::run(); }
