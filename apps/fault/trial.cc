#include "apps/fault/trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "apps/common/child.h"
#include "apps/common/loop_swap.h"
#include "apps/common/runtime_library.h"
#include "apps/common/stats_report.h"
#include "apps/common/zram_swap.h"

namespace tiara::apps::fault {
namespace {

using std::chrono::milliseconds;

// What the process needs besides its data, for every contestant alike: code and libraries do not count or can be
// dropped, stacks, heap, latency histograms and the counters of each page do.
constexpr uint64_t kProcessMemory = 12 * kMiB;
// Filling and the final check of the largest data take minutes on kernel swap; nothing at all for longer is a hang.
constexpr milliseconds kSilence{300'000};

struct Rig {
  std::optional<StatsFile> stats;
  std::unique_ptr<ZramSwap> zram;
  std::unique_ptr<LoopSwap> loop;
  std::unique_ptr<MemoryCgroup> cgroup;
};

// Room for all data, in swap pages and their bookkeeping.
Bytes swap_size(const TrialOptions& options) { return Bytes{options.worker.data.value * 5 / 4 + 64 * kMiB}; }

Result<void> add_cgroup(Rig& rig, ChildOptions& child, Bytes limit, const std::string& label) {
  TIARA_TRY(rig.cgroup, MemoryCgroup::create(limit, label));
  child.cgroup_procs = rig.cgroup->procs_file();
  return {};
}

Result<void> set_up(const TrialOptions& options, Outcome& outcome, Rig& rig, ChildOptions& child) {
  const auto excuse = [&](const std::string& reason) {
    outcome.is_excused = true;
    return fail(ErrorCode::kUnsupported, reason);
  };
  switch (outcome.contestant.kind) {
    case Kind::kFloor:
      outcome.description = "signal, one UFFDIO_COPY";
      child.arguments.emplace_back("--floor");
      return {};
    case Kind::kTiara: {
      TIARA_TRY(const std::string library, find_runtime_library());
      TIARA_TRY(StatsFile stats, StatsFile::create());
      rig.stats = std::move(stats);
      Config config = options.config;
      config.local = LocalBudget{outcome.limit, std::nullopt};
      if (config.pool.value == 0) config.pool = swap_size(options);
      config.stats_path = rig.stats->path();
      child.environment = runtime_environment(config, library);
      outcome.description = fmt::format("node {}", config.node);
      return {};
    }
    case Kind::kZram: {
      if (const std::string reason = why_no_zram(); !reason.empty()) return excuse(reason);
      TIARA_TRY(rig.zram, ZramSwap::create(swap_size(options)));
      TIARA_TRY_VOID(add_cgroup(rig, child, outcome.limit, fmt::format("zram{}", rig.zram->device_number())));
      outcome.description = fmt::format("zram {}, {}", rig.zram->compressor(), rig.cgroup->version());
      return {};
    }
    case Kind::kLoop: {
      if (const std::string reason = why_no_loop_swap(); !reason.empty()) return excuse(reason);
      TIARA_TRY(rig.loop, LoopSwap::create(swap_size(options)));
      TIARA_TRY_VOID(add_cgroup(rig, child, outcome.limit, fmt::format("loop{}", rig.loop->device_number())));
      outcome.description = fmt::format("loop device in memory, {}", rig.cgroup->version());
      return {};
    }
  }
  return {};
}

// Takes whole lines off the front of `text` and into the outcome.
Result<void> take_lines(std::string& text, Outcome& outcome) {
  for (size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    auto line = nlohmann::json::parse(text.substr(0, end), nullptr, false);
    if (line.is_discarded() || !line.is_object())
      return fail(ErrorCode::kSystem, "the worker said: " + text.substr(0, end));
    if (line.contains("pattern")) {
      outcome.cells.push_back(std::move(line));
    } else {
      outcome.wrong_words = line.value("wrong_words", uint64_t{1});
      outcome.result_hash = line.value("result_hash", uint64_t{0});
    }
  }
  return {};
}

Result<void> follow(Child& worker, int output, Outcome& outcome, const std::function<void(size_t)>& on_line,
                    const std::function<bool()>& is_interrupted) {
  std::string text;
  milliseconds silent{0};
  constexpr milliseconds kSlice{100};
  while (!is_interrupted()) {
    pollfd ready{output, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(kSlice.count())) <= 0) {
      if ((silent += kSlice) > kSilence) return fail(ErrorCode::kTimedOut, "the worker hangs");
      continue;
    }
    char buffer[8192];
    const ssize_t got = read(output, buffer, sizeof buffer);
    if (got <= 0) break;
    silent = milliseconds{0};
    text.append(buffer, static_cast<size_t>(got));
    TIARA_TRY_VOID(take_lines(text, outcome));
    on_line(outcome.cells.size());
  }
  if (is_interrupted()) return fail(ErrorCode::kUnavailable, "interrupted");
  const auto exit = worker.wait_for(milliseconds{30'000});
  if (!exit) return fail(ErrorCode::kTimedOut, "the worker does not end");
  if (exit->shell_status() == 77) outcome.is_excused = true;
  if (exit->shell_status() != 0 && outcome.wrong_words == 0)
    return fail(ErrorCode::kUnavailable, "the worker " + exit->describe());
  return {};
}

Result<void> run(const TrialOptions& options, Outcome& outcome, const std::function<void(size_t)>& on_line,
                 const std::function<bool()>& is_interrupted) {
  ChildOptions child{.path = "/proc/self/exe",
                     .arguments = {"tiara", "bench", "fault", "--worker", "--data",
                                   std::to_string(options.worker.data.value), "--seconds",
                                   fmt::format("{}", static_cast<double>(options.worker.duration.count()) / 1000),
                                   "--seed", std::to_string(options.worker.seed), "--threads",
                                   fmt::format("{}", fmt::join(options.worker.threads, ","))},
                     .death_signal = SIGKILL,
                     .cpus = options.cpus};
  Rig rig;
  TIARA_TRY_VOID(set_up(options, outcome, rig, child));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(system_error("pipe2"));
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  child.standard_output = input.get();
  TIARA_TRY(Child worker, Child::spawn(child));
  input = UniqueFd();
  const auto followed = follow(worker, output.get(), outcome, on_line, is_interrupted);
  worker = Child();  // before its memory's limits and its swap go
  if (rig.cgroup) outcome.oom_kills = rig.cgroup->oom_kills();
  return followed;
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kFloor: return "floor";
    case Kind::kTiara: return "tiara";
    case Kind::kZram: return "zram";
    case Kind::kLoop: return "loop";
  }
  return "unknown";
}

Result<Kind> parse_kind(std::string_view name) {
  for (const Kind kind : {Kind::kFloor, Kind::kTiara, Kind::kZram, Kind::kLoop})
    if (name == to_string(kind)) return kind;
  return fail(ErrorCode::kInvalidInput,
              fmt::format("'{}' is not a contestant; use floor, tiara, zram or loop", name));
}

Outcome run_trial(const Contestant& contestant, const TrialOptions& options,
                  const std::function<void(size_t)>& on_line, const std::function<bool()>& is_interrupted) {
  // The kernel can OOM-kill although swap is free: once more, and said.
  constexpr int kTries = 3;
  Outcome outcome;
  uint64_t oom_kills = 0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    outcome = Outcome{.contestant = contestant, .limit = {}, .unavailable = {}, .description = {}, .cells = {}};
    if (contestant.kind != Kind::kFloor)
      outcome.limit = Bytes{round_up(options.worker.data.value * contestant.percent / 100, kPageSize) + kProcessMemory};
    const auto result = run(options, outcome, on_line, is_interrupted);
    oom_kills += outcome.oom_kills;
    outcome.oom_kills = oom_kills;
    if (result) break;
    outcome.unavailable = result.error().message;
    if (oom_kills == 0 || is_interrupted()) break;
  }
  return outcome;
}

}  // namespace tiara::apps::fault
