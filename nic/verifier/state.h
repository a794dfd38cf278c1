// The abstract state at one instruction: what is known of every register and which scratchpad bytes are
// written.
#pragma once

#include <array>
#include <cstdint>

#include "nic/isa/instruction.h"
#include "nic/verifier/domain.h"

namespace tiara::nic {

// A set of scratchpad bytes.
class ByteSet {
 public:
  // Any range may be given; one that no scratchpad holds adds nothing.
  void insert(uint64_t first, uint64_t count);
  // first + count must be at most kMaxScratchpadBytes.
  bool contains_all(uint64_t first, uint64_t count) const;
  bool includes(const ByteSet& inner) const;
  void intersect(const ByteSet& other);
  // The first byte of [first, first + count) that is missing; first + count when none is.
  uint64_t first_missing(uint64_t first, uint64_t count) const;

 private:
  std::array<uint64_t, kMaxScratchpadBytes / 64> words_{};
};

struct AbstractState {
  std::array<AbstractValue, kRegisters> registers{};  // of an undefined register: any word
  uint16_t defined = 0;                               // bit i: r(i) was written on every path to here
  ByteSet written;                                    // scratchpad bytes that were written on every path

  bool is_defined(uint8_t reg) const { return (defined >> reg & 1) != 0; }
  void set(uint8_t reg, const AbstractValue& value) {
    registers[reg] = value;
    defined = static_cast<uint16_t>(defined | 1u << reg);
  }
  // Does this state describe every concrete state that `inner` describes?
  bool includes(const AbstractState& inner) const;
};

void join_into(AbstractState& into, const AbstractState& from);

// As widen() of values, register by register.
AbstractState widen(const AbstractState& old, const AbstractState& grown);

}  // namespace tiara::nic
