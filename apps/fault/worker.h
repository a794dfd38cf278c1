// The measured process: it fills a region, runs every pattern with every number of threads, checks every word that it
// reads and all of the region at the end, and prints one line of JSON for each. It is the same program, with the same
// code, whatever its memory is: `tiara bench fault` starts it under the runtime, in a memory cgroup, or bare.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/units.h"

namespace tiara::apps::fault {

// An access that took longer missed: one that finds its page takes a tenth of this, the cheapest fault of any kind
// twice as much. The same line for every contestant.
inline constexpr std::chrono::nanoseconds kMissAbove{1000};

struct WorkerOptions {
  Bytes data;
  std::vector<uint32_t> threads{1};
  std::chrono::milliseconds duration{1500};  // of each pattern
  uint64_t seed = 1;
};

// Prints on standard output; returns the exit status: 0, or 1 when a word was wrong.
int run_worker(const WorkerOptions& options);

}  // namespace tiara::apps::fault
