// What was proved about each instruction of an accepted program. An engine may leave out a check that stands
// here as proved; it must keep the others.
#pragma once

#include <cstdint>

namespace tiara::nic {

struct InstructionFacts {
  bool is_reachable = false;      // some run may get here
  bool can_branch = false;        // branches: the taken edge is possible; LOOP: the body can be skipped
  bool can_fall_through = false;  // the next instruction is possible
  bool is_aligned = false;  // atomics, line loads, remote words: the offset is always as aligned as they need
  bool is_trip_count_proved = false;  // LOOP: rs1 never exceeds the declared bound
  // A region of at least this many bytes is never left by this access; UINT64_MAX: nothing known. The
  // region's size is only known when an operator is bound, so an engine compares then, once for all
  // instructions.
  uint64_t extent = UINT64_MAX;
  uint64_t source_extent = UINT64_MAX;  // copy: the same for the region that is read
  uint64_t most_bytes = 0;              // bulk operations, remote gathers: bytes moved, at most
  uint64_t most_trips = 0;              // LOOP: how often the body runs, at most

  friend bool operator==(const InstructionFacts&, const InstructionFacts&) = default;
};

}  // namespace tiara::nic
