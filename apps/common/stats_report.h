// The statistics page of a run: made by `tiara run`, filled by the runtime in each process, read
// here. One list (runtime/base/stats.h) feeds the summary, the JSON and the documentation.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/base/stats.h"
#include "runtime/os/memory.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps {

// The name, unit and meaning of each counter or gauge, and where it lies.
struct Statistic {
  const char* name;
  const char* unit;
  const char* meaning;
  std::atomic<uint64_t> stats::Counters::*value;
  bool is_gauge;
};
const std::vector<Statistic>& all_statistics();

// Shared memory without a name: it goes when the last process that maps it goes, however they end.
class StatsFile {
 public:
  static Result<StatsFile> create();
  // Opened by the runtime (TIARA_STATS); works for processes of the same user while this process
  // lives.
  std::string path() const;
  const stats::StatsPage& page() const {
    return *reinterpret_cast<const stats::StatsPage*>(mapping_.data());
  }
  stats::StatsPage& page() { return *reinterpret_cast<stats::StatsPage*>(mapping_.data()); }
  size_t shown_processes() const;

 private:
  UniqueFd file_;
  os::Mapping mapping_;
};

// The latency histograms of all processes, added up.
struct Latencies {
  Histogram miss;
  Histogram fault;
};

uint64_t total_of(const StatsFile& file, const Statistic& statistic);
void add_latencies(const StatsFile& file, Latencies& out);

// {"processes": [...], "totals": {...}, "units": {...}, "processes_started": n}
nlohmann::json to_json(const StatsFile& file);
// What `tiara run --stats` writes beside the statistics: the command, its end, what was chosen.
struct RunRecord {
  std::vector<std::string> command;
  int exit_status = 0;
  double wall_seconds = 0;
  std::vector<std::pair<std::string, std::string>> config;  // names of the environment, and values
};
std::string to_json_text(const StatsFile& file, const RunRecord& record);
// {"count", "p50_ns", "p99_ns", "p999_ns", "buckets": [[upper edge in ns, count], ...]}
nlohmann::json to_json(const Histogram& histogram);

// One screen for a person.
std::string summary(const StatsFile& file, double wall_seconds);

}  // namespace tiara::apps
