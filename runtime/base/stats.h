// Statistics of far-memory processes, in a file that `tiara run` (and any other reader) maps shared: they survive
// the program, however it ends. One list of counters feeds this layout, the summary, the JSON and the docs.
//
// Writers use relaxed atomics: each counter is exact, a reader's snapshot across counters is not.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/base/histogram.h"

namespace tiara::stats {

// X(name, unit, meaning). Counters only grow; gauges are set.
#define TIARA_COUNTERS(X)                                                                            \
  X(faults_untouched, "faults", "first touch of a page: zeros were installed")                       \
  X(faults_remote, "faults", "the page was on the node")                                             \
  X(faults_staged, "faults", "the page was still in staging and was taken back")                     \
  X(faults_waited, "faults", "another thread was already resolving the page")                        \
  X(faults_write_protect, "faults", "a write met a page that was being copied out")                  \
  X(faults_spurious, "faults", "the page was resident by the time the fault was looked at")          \
  X(fetch_invocations, "calls", "pt_read invocations sent")                                          \
  X(fetched_pages, "pages", "pages received from the node")                                          \
  X(fetched_bytes, "bytes", "page bytes received from the node")                                     \
  X(prefetch_used, "pages", "pages fetched ahead whose stream went on behind them")                  \
  X(prefetch_wasted, "pages", "pages fetched ahead whose stream went elsewhere")                     \
  X(chase_pages, "pages", "pages that came along because links led to them (tiara_follow)")          \
  X(chase_outdated, "pages", "such pages that had changed meanwhile and were dropped")               \
  X(pages_staged, "pages", "pages unmapped into staging by eviction")                                \
  X(pages_stored_directly, "pages", "pages that eviction took to the node in one step, without staging") \
  X(evict_moves, "calls", "UFFDIO_MOVE calls, or freezing calls of eviction by copying")             \
  X(evict_busy, "pages", "pages that could not be moved: pinned or shared copy-on-write")            \
  X(evict_unevictable, "pages", "pages in ranges that cannot be evicted (protected, locked)")        \
  X(pages_written, "pages", "pages written back to the node")                                        \
  X(written_bytes, "bytes", "page bytes written back to the node")                                   \
  X(write_invocations, "calls", "pt_write invocations sent")                                         \
  X(clean_drops, "pages", "evicted pages whose content the node already had")                        \
  X(zero_pages, "pages", "evicted pages that were all zeros and need no frame")                      \
  X(staging_hits, "pages", "pages taken back from staging (second chance)")                          \
  X(staging_stalls, "waits", "faults that had to wait for write-back because staging was full")      \
  X(discarded_pages, "pages", "pages dropped by munmap, madvise or free")                            \
  X(pins, "pins", "ranges pinned for system calls")                                                  \
  X(pin_faults, "pages", "pages fetched because a system call was about to use them")                \
  X(raw_calls, "calls", "system calls that the program made by instructions outside libc")           \
  X(chaos_evictions, "pages", "pages taken away at random (testing)")                                \
  X(forks_near, "forks", "forks while nothing was away")                                             \
  X(forks_away, "forks", "forks while pages were away")                                              \
  X(forks_cloned, "forks", "forks whose child got far memory of its own, a copy of this one")

#define TIARA_GAUGES(X)                                                                              \
  X(far_pages, "pages", "far pages that hold data, here or on the node")                             \
  X(far_pages_peak, "pages", "the most far pages that held data")                                    \
  X(resident_pages, "pages", "far pages mapped here")                                                \
  X(resident_pages_peak, "pages", "the most far pages mapped here")                                  \
  X(staged_pages, "pages", "evicted pages still here")                                               \
  X(remote_pages, "pages", "far pages that only the node holds")                                     \
  X(budget_pages, "pages", "how many far pages may be here now")                                     \
  X(near_bytes, "bytes", "anonymous memory of the process outside far memory")                       \
  X(metadata_bytes, "bytes", "the runtime's own metadata for far pages")

struct Counters {
#define TIARA_FIELD(name, unit, meaning) std::atomic<uint64_t> name{0};
  TIARA_COUNTERS(TIARA_FIELD)
  TIARA_GAUGES(TIARA_FIELD)
#undef TIARA_FIELD
};

inline void bump(std::atomic<uint64_t>& counter, uint64_t by = 1) noexcept {
  counter.fetch_add(by, std::memory_order_relaxed);
}

enum class ProcessState : uint32_t { kUnused = 0, kRunning, kForkedChild, kExeced, kFatal };

// One process that started far memory. All of it lives in shared memory; zeros are a valid start.
struct ProcessStats {
  std::atomic<uint32_t> state;   // ProcessState
  std::atomic<int32_t> pid;
  std::atomic<uint64_t> started_ns;  // CLOCK_MONOTONIC
  char command[32];
  char mode[16];                 // "signal", "message", "hybrid"
  char node[64];
  char note[128];                // what was done instead of what was asked, one line; empty = nothing
  char fatal[256];               // the fatal line, when the runtime stopped the program
  Counters counters;
  Histogram miss_latency;        // from entry of the resolver to the page being mapped; remote faults only
  Histogram fault_latency;       // all faults
};

inline constexpr uint32_t kStatsMagic = 0x54535432;  // "TST2": bumped with every change of layout
inline constexpr uint32_t kMaxProcesses = 128;       // a shell pipeline's worth; later ones are counted, not shown

struct StatsPage {
  uint32_t magic;
  uint32_t size;                              // sizeof(StatsPage): a reader of another version refuses
  std::atomic<uint32_t> processes_started;    // may exceed kMaxProcesses
  std::array<ProcessStats, kMaxProcesses> processes;
};

}  // namespace tiara::stats
