// Drives a memcached over loopback: fills it, then asks for keys as fast as the answers come (a
// closed loop: each connection has one request outstanding), and checks every byte of every answer.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/common/latency.h"
#include "apps/memcached/connection.h"
#include "apps/memcached/workload.h"
#include "runtime/base/error.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps::memcached {

struct LoadCounts {
  uint64_t gets = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t sets = 0;
  uint64_t refused = 0;  // SETs that the server would not take
  uint64_t wrong_values = 0;
  void add(const LoadCounts& other);
};

struct LoadResult {
  LoadCounts counts;
  double seconds = 0;
  LatencyHistogram get_latency;
  LatencyHistogram set_latency;
  std::vector<std::string> complaints;  // about the first wrong or refused values
  double gets_per_second() const {
    return seconds > 0 ? static_cast<double>(counts.gets) / seconds : 0;
  }
  double requests_per_second() const {
    return seconds > 0 ? static_cast<double>(counts.gets + counts.sets) / seconds : 0;
  }
};

// Called a few times a second by the thread that waits; false ends the phase early (the user
// interrupted, or the server is gone).
using Watch = std::function<bool(double share_done)>;

class LoadDriver {
 public:
  // Connects all connections to 127.0.0.1:port.
  static Result<std::unique_ptr<LoadDriver>> connect(const Workload& workload, uint16_t port);
  ~LoadDriver();

  // Stores every key once.
  Result<LoadResult> fill(const Watch& watch);
  // GETs (and SETs, by the workload's share) for `duration`.
  Result<LoadResult> drive(std::chrono::milliseconds duration, const Watch& watch);

 private:
  class Worker;
  explicit LoadDriver(const Workload& workload);
  enum class Phase { kFill, kDrive };
  Result<LoadResult> run(Phase phase, std::chrono::milliseconds duration, const Watch& watch);

  Workload workload_;
  KeyChooser chooser_;
  Versions versions_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> completed_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace tiara::apps::memcached
