// Registers that a loop does not move, or only by constants: cursors, counters, strides.
//
// Widening knows nothing between "grows" and "any value"; but a register whose every write in a loop's body
// is "rd = rd + constant" moves by at most the sum of those constants a round, and the number of rounds is
// bounded. So its value at the head is its value at the entry plus rounds times that sum: no fixpoint is
// needed. A register that the body does not write is the simplest case: what an outer loop does to it never
// blurs the inner one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nic/isa/instruction.h"
#include "nic/verifier/domain.h"
#include "nic/verifier/flow.h"

namespace tiara::nic {

struct Counter {
  uint8_t reg;
  // What one round adds at least (<= 0) and at most (>= 0), whatever path it takes. Inner loops count with
  // their declared bound. Saturated: a sum that does not fit is not a counter.
  int64_t least;
  int64_t most;
  unsigned alignment_log2;  // 1 << this divides every addend
};

std::vector<Counter> counters_of(std::span<const Instruction> code, const Flow& flow, const LoopShape& loop);

// The register's value after 0 to `rounds` rounds, from its value at the loop's entry.
AbstractValue after_rounds(const Counter& counter, const AbstractValue& entry, uint64_t rounds);

}  // namespace tiara::nic
