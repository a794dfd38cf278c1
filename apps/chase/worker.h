// The measured process: lists whose every object lies on a page of its own, walked from their heads.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/base/units.h"

namespace tiara::apps::chase {

// In turn: with less memory than data, every page of a list has left before the list's turn comes again. At random:
// some pages of a list are here.
enum class Order : uint8_t { kInTurn, kRandom };

struct WorkerOptions {
  Bytes data;             // all objects
  uint32_t hops = 10;     // a list has one object more
  bool follows = false;   // say tiara_follow
  Order order = Order::kInTurn;
  std::chrono::milliseconds duration{2000};
  uint64_t seed = 1;
};

// Prints one line of JSON; the exit status: 0, or 1 when an object was wrong, 77 outside far memory.
int run_worker(const WorkerOptions& options);

}  // namespace tiara::apps::chase
