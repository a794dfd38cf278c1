// Register allocation: 16 real registers for all values, the scratchpad for what does not fit.
#pragma once

#include "nic/cc/machine.h"
#include "runtime/base/error.h"

namespace tiara::nic::cc {

// Graph colouring (Chaitin, Briggs) with coalescing. Lowers `function`, gives every register a
// number below 16, and removes copies between registers that got the same one. Tries in this order
// until the registers suffice: constants in front of loops with all copies coalesced; the same
// coalescing only where it is safe; constants at their uses; spilling.
Result<MachineFunction> allocate(const Function& function);

// --- its parts ---

// A set of bits of fixed size.
class BitSet {
 public:
  explicit BitSet(uint32_t size = 0) : words_((size + 63) / 64) {}
  bool test(uint32_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  void set(uint32_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  void reset(uint32_t i) { words_[i / 64] &= ~(uint64_t{1} << (i % 64)); }
  bool merge(const BitSet& other) {  // true when something was new
    uint64_t added = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
      added |= other.words_[i] & ~words_[i];
      words_[i] |= other.words_[i];
    }
    return added != 0;
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    for (size_t i = 0; i < words_.size(); ++i)
      for (uint64_t rest = words_[i]; rest != 0; rest &= rest - 1)
        visit(static_cast<uint32_t>(i * 64) + static_cast<uint32_t>(__builtin_ctzll(rest)));
  }

 private:
  std::vector<uint64_t> words_;
};

// What is live where a block begins.
std::vector<BitSet> live_in(const MachineFunction& function);

// For each register, those that hold another value while it holds one that is still wanted.
std::vector<BitSet> interference(const MachineFunction& function);

}  // namespace tiara::nic::cc
