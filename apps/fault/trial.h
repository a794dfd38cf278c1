// One contestant at one budget: the worker's process, from start to its figures.
#pragma once

#include <nlohmann/json.hpp>
#include <functional>
#include <string>
#include <vector>

#include "apps/fault/worker.h"
#include "runtime/base/config.h"
#include "runtime/base/error.h"

namespace tiara::apps::fault {

enum class Kind : uint8_t { kFloor, kTiara, kZram, kLoop };
std::string_view to_string(Kind kind);
Result<Kind> parse_kind(std::string_view name);

struct Contestant {
  Kind kind;
  uint32_t percent = 100;  // how much of the data may be here; the floor has all of it
};

struct TrialOptions {
  WorkerOptions worker;
  Config config;  // the runtime's, for kTiara
  std::vector<int> cpus;
};

struct Outcome {
  Contestant contestant;
  Bytes limit;
  std::string unavailable;  // why there are no figures; empty otherwise
  bool is_excused = false;  // it cannot be had on this machine, which is no failure
  std::string description;  // "zram lzo-rle, cgroup v2"
  uint64_t oom_kills = 0;
  std::vector<nlohmann::json> cells;  // the worker's lines, one for each pattern and number of threads
  uint64_t wrong_words = 0;
  uint64_t result_hash = 0;
};

// `on_line` is told how many lines there are so far.
Outcome run_trial(const Contestant& contestant, const TrialOptions& options,
                  const std::function<void(size_t)>& on_line, const std::function<bool()>& is_interrupted);

}  // namespace tiara::apps::fault
