// Fewer and better instructions: what Tiara does in one step and BPF in several.
#pragma once

#include "nic/cc/ir.h"
#include "nic/isa/program.h"

namespace tiara::nic::cc {

// Bit fields instead of shifts and masks; offsets and table indices inside of loads; bit tests and
// comparisons with constants; min, max and comparisons without branches. `header` has the argument
// contracts, which say which bits are zero. Afterwards every constant that fits is an immediate;
// those that are left need a register.
void optimize(Function& function, const Program& header);

// --- its parts ---

// Which bits of values are zero, as far as a short look at where they come from tells.
class ZeroBits {
 public:
  ZeroBits(const Function& function, const Program& header)
      : function_(function), header_(header) {}
  uint64_t of(ValueId value) const { return of(value, 0); }

 private:
  uint64_t of(ValueId value, uint32_t depth) const;
  uint64_t of_instruction(const Node& node, uint32_t depth) const;
  const Function& function_;
  const Program& header_;
};

// Algebra on single values, to a fixpoint of at most a few rounds.
void combine(Function& function, const ZeroBits& zero_bits);
// Branches around nothing but a choice of values become min, max, set or sel.
void remove_branches(Function& function);
// Offsets and indices move into the instructions that access memory.
void fuse_addresses(Function& function, const ZeroBits& zero_bits);
// Conditions with the constant on the right, bit tests; then immediates wherever there is a form
// for them.
void normalize_conditions(Function& function);
void use_immediates(Function& function);
// In loops, the next value of a variable is computed last in its block: then it can take the old
// one's register.
void sink_updates(Function& function);

constexpr uint64_t low_mask(uint32_t width) {
  return width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
}
// Is `mask` some ones from bit 0 on, and nothing else?
constexpr bool is_low_mask(uint64_t mask) {
  return mask != 0 && (mask & (mask + 1)) == 0;
}

}  // namespace tiara::nic::cc
