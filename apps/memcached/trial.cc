#include "apps/memcached/trial.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tiara::apps::memcached {
namespace {

// Kernel swap under a memory cgroup is sometimes OOM-killed although swap is free: that is not a
// figure, but it is not the end of the benchmark either.
constexpr uint32_t kMaxAttempts = 4;

using CounterValues = std::map<std::string, uint64_t>;

CounterValues counters_of(const StatsFile& stats) {
  CounterValues counters;
  for (const auto& statistic : all_statistics())
    counters[statistic.name] = total_of(stats, statistic);
  return counters;
}

// Counters as they grew, gauges as they stand.
CounterValues growth(const CounterValues& before, const CounterValues& after) {
  CounterValues out;
  for (const auto& statistic : all_statistics()) {
    const uint64_t now = after.at(statistic.name);
    out[statistic.name] = statistic.is_gauge ? now : now - before.at(statistic.name);
  }
  return out;
}

void merge(Outcome& outcome, const LoadResult& result) {
  outcome.all.add(result.counts);
  for (const auto& complaint : result.complaints)
    if (outcome.complaints.size() < 5) outcome.complaints.push_back(complaint);
}

Result<void> measure(Server& server, const TrialOptions& options, const TrialHooks& hooks,
                     Outcome& outcome) {
  const Watch watch = [&](double share) {
    hooks.progress(share);
    const Bytes anonymous = server.use().anonymous_resident;
    outcome.peak_anonymous = std::max(outcome.peak_anonymous, anonymous);
    return !hooks.is_interrupted() && !server.obituary();
  };
  TIARA_TRY(const auto driver, LoadDriver::connect(options.server.workload, server.port()));
  hooks.begin("filling");
  TIARA_TRY(const LoadResult fill, driver->fill(watch));
  outcome.fill_seconds = fill.seconds;
  merge(outcome, fill);
  outcome.use_after_fill = server.use();

  hooks.begin("warming up");
  TIARA_TRY(const LoadResult warm_up, driver->drive(options.warm_up, watch));
  merge(outcome, warm_up);
  // Counts in the runtime's histograms and counters go on; what the measured part added is the
  // difference.
  const auto counters = server.stats() ? counters_of(*server.stats()) : CounterValues();
  const auto cpu = server.use().cpu_time;
  hooks.begin("measuring");
  TIARA_TRY(outcome.measured, driver->drive(options.duration, watch));
  merge(outcome, outcome.measured);
  outcome.server_cpu_seconds = std::chrono::duration<double>(server.use().cpu_time - cpu).count();
  if (const StatsFile* const stats = server.stats()) {
    outcome.runtime_counters = growth(counters, counters_of(*stats));
    if (stats->shown_processes() > 0) {
      const auto& process = stats->page().processes[0];
      outcome.mode.assign(process.mode, strnlen(process.mode, sizeof process.mode));
      outcome.note.assign(process.note, strnlen(process.note, sizeof process.note));
    } else {
      return fail(ErrorCode::kSystem,
                  "memcached ran without far memory: the runtime did not start in it");
    }
  }
  return {};
}

}  // namespace

Outcome run_trial(const Contestant& contestant, const TrialOptions& options, Bytes limit,
                  const TrialHooks& hooks) {
  const uint32_t attempts = contestant.kind == Kind::kZram ? kMaxAttempts : 1;
  uint64_t oom_kills = 0;
  for (uint32_t attempt = 1;; ++attempt) {
    Outcome outcome;
    outcome.contestant = contestant;
    outcome.limit = contestant.kind == Kind::kLocal ? Bytes{} : limit;
    outcome.attempts = attempt;
    hooks.begin("starting");
    auto server = Server::start(contestant, options.server, limit);
    if (!server) {
      outcome.unavailable = server.error().message;
      outcome.is_excused = contestant.kind == Kind::kZram;
      return outcome;
    }
    outcome.description = (*server)->description();
    const auto measured = measure(**server, options, hooks, outcome);
    oom_kills += (*server)->oom_kills();
    outcome.oom_kills = oom_kills;
    if (measured) return outcome;
    // The connection breaks a moment before the server's end can be seen.
    std::optional<std::string> end;
    for (int i = 0; i < 50 && !hooks.is_interrupted() && !(end = (*server)->obituary()); ++i)
      usleep(10'000);
    outcome.unavailable = end ? *end : measured.error().message;
    // The baseline's own death is its figure, not a failure of ours.
    outcome.is_excused = contestant.kind == Kind::kZram;
    if (hooks.is_interrupted() || attempt == attempts) return outcome;
  }
}

}  // namespace tiara::apps::memcached
