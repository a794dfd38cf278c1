// What a user chose for one run. `tiara run` makes a Config from its options and hands it to the preloaded
// runtime in the environment; both sides use this one table of names.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara {

enum class FaultMode : uint8_t { kAuto, kMessage, kSignal, kHybrid };
enum class EvictWith : uint8_t { kAuto, kMove, kCopy };          // how a page leaves: UFFDIO_MOVE, or protect + copy
enum class EvictOn : uint8_t { kAuto, kFaultingThread, kDedicatedThread };
enum class EvictionPolicy : uint8_t { kFifo, kClock, kS3Fifo };   // runtime/residency/resident_order.h
enum class ForkMode : uint8_t { kClone, kNear };                  // what a forked child has of its parent's far memory
enum class RawSyscalls : uint8_t { kDispatch, kRefuse, kIgnore };  // system-call instructions outside libc
enum class Children : uint8_t { kFar, kNear };                   // do child processes get far memory of their own?

// `--local`: bytes, or a share of the most far memory the program has had so far.
struct LocalBudget {
  std::optional<Bytes> bytes;
  std::optional<double> fraction;  // in (0, 1]
};

struct Config {
  LocalBudget local;
  std::string node = "loop:";        // loop: | shm://PATH | tcp://HOST:PORT | rdma://ADDRESS:PORT
  Bytes pool{};                      // embedded pool for loop:; 0 = most of the memory that is available
  FaultMode fault = FaultMode::kAuto;
  EvictWith evict_with = EvictWith::kAuto;
  EvictOn evict_on = EvictOn::kAuto;
  uint32_t evict_cluster = 0;        // pages that one eviction step takes, 1 to 4096; 0: automatic
  EvictionPolicy policy = EvictionPolicy::kClock;
  bool readahead = true;             // fetch ahead of sequential streams
  bool heat = false;                 // pages that come back again and again stay for some rounds
  bool second_chance = true;         // the switches: each optimisation can be turned off to show its worth
  bool copy_sends = true;            // short messages leave from the stack, where a send would need pins
  bool clean_detection = true;
  bool zero_detection = true;
  std::string near_rules;            // placement rules, see runtime/placement/rules.h
  ForkMode fork = ForkMode::kNear;
  RawSyscalls raw_syscalls = RawSyscalls::kDispatch;
  Children children = Children::kFar;
  std::string token_file;            // its first line is what the node asks for; empty: TIARA_TOKEN, or none
  std::chrono::milliseconds node_timeout{30'000};
  std::string inject;                // a fault plan for the link (nic/transport/fault_injector.h); empty: none
  uint64_t chaos_seed = 0;           // not 0: pages are taken away at random moments (testing)
  std::string trace_path;            // where arrivals of pages are recorded (runtime/base/page_trace.h); empty: not
  std::string stats_path;            // the shared statistics page (runtime/base/stats.h)

  // Names and values of the environment variables that carry this Config (TIARA_LOCAL, TIARA_NODE, ...).
  std::vector<std::pair<std::string, std::string>> to_environment() const;
  // From getenv-like `lookup`. Unset variables keep their defaults; a malformed value is an error that names the
  // variable, the value and what would be accepted.
  static Result<Config> from_environment(const char* (*lookup)(const char* name));
};

// "512M", "4GiB", "65536"; K, M, G, T are powers of 1024; "B" and "iB" may follow.
Result<Bytes> parse_bytes(std::string_view text);
// As parse_bytes, or "25%".
Result<LocalBudget> parse_local_budget(std::string_view text);
std::string format_bytes(Bytes bytes);  // "512.0 MiB"

}  // namespace tiara
