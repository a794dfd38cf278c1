// What the memcached benchmark found, as a table, as JSON and as a picture.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/memcached/contestant.h"
#include "apps/memcached/load.h"

namespace tiara::apps::memcached {

// One contestant's runs. Figures are of the measured part; wrong values and misses count
// everywhere.
struct Outcome {
  Contestant contestant;
  Bytes limit;              // 0: none
  std::string unavailable;  // why there are no figures; empty when there are
  bool is_excused = false;  // it cannot be had on this machine, which is no failure
  std::string description;
  double fill_seconds = 0;
  LoadResult measured;
  LoadCounts all;  // fill, warm-up and measured part
  std::vector<std::string> complaints;
  ProcessUse use_after_fill;
  Bytes peak_anonymous;           // sampled while measuring
  double server_cpu_seconds = 0;  // while measuring
  uint32_t attempts = 1;          // kernel swap may be OOM-killed and is then tried again
  uint64_t oom_kills = 0;
  std::vector<double> rounds;  // GETs per second of each round; `measured` is the median one
  std::map<std::string, uint64_t> runtime_counters;  // Tiara only: the runtime's, while measuring
  std::string mode, note;                            // Tiara only
};

struct Report {
  std::vector<Outcome> outcomes;  // the first is all local
  const Outcome* find(Kind kind, double share) const;
  uint64_t wrong_values() const;
  bool has_failures()
      const;  // wrong values, misses, or a contestant that should have run and did not
};

std::string to_table(const Report& report);
nlohmann::json to_json(const Report& report, const nlohmann::json& config);
// Draws throughput and p99 of each contestant with gnuplot; an error when gnuplot is not there.
Result<void> plot(const Report& report, const std::string& svg_path);

}  // namespace tiara::apps::memcached
