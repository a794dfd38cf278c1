// How long the hardware engine takes for a run: cycles of a lone invocation. By kinds when every instruction is shown
// to it (EngineTiming); an estimate from what any reply carries (estimate). The constants are the RTL's, derived in
// docs/nic/rtl.md; tests/rtl/timing_main.cc runs every operator on the RTL and holds both to it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "nic/isa/instruction.h"
#include "nic/isa/outcome.h"

namespace tiara::nic {

// Cycles in the engine, and requests that it waits for one after the other.
struct EngineCost {
  uint64_t cycles = 0;
  uint64_t waits = 0;
  // With so many cycles from a request to its answer.
  uint64_t total(uint64_t memory_latency) const noexcept { return cycles + waits * memory_latency; }
};

// What a run costs whose last instruction has been shown. Bytes that bulk operations move cost nothing here: the mover
// works beside the engine, at the width of its data.
class EngineTiming {
 public:
  // Of an invocation with so many arguments: each is a beat before the start, and so is what `code` needs to know of
  // its reply and its payload.
  EngineTiming(std::span<const Instruction> code, size_t arguments) noexcept;
  // Before each instruction; the registers are what it reads.
  void observe(const Instruction& instruction, const std::array<uint64_t, kRegisters>& registers) noexcept;
  const EngineCost& cost() const noexcept { return cost_; }

 private:
  EngineCost cost_;
};

// For who has only the counts: what takes more than a turn and is not counted is charged as operators use it on
// average. Bytes count as one bulk operation a page. Nothing that ran costs nothing.
EngineCost estimate(const Counts& counts) noexcept;

}  // namespace tiara::nic
