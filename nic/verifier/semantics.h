// Abstract semantics of single instructions: the state after, from the state before. Control flow is the
// fixpoint's (fixpoint.h).
#pragma once

#include "nic/isa/program.h"
#include "nic/verifier/state.h"

namespace tiara::nic {

// What holds after the instruction if it does not fault. Not for branches, loop, endloop, ret and fail. Total:
// the search for a fixpoint looks at programs whose preconditions nobody has proved yet.
void apply(const Instruction& instruction, AbstractState& state);

// A conditional branch as a relation between rs1 and another value.
struct Condition {
  Relation relation;
  uint8_t left;
  AbstractValue right;
  bool is_right_register;  // then `right` is what is known of register `right_reg`, and learns too
  uint8_t right_reg;
};
Condition condition_of(const Instruction& branch, const AbstractState& state);

// Narrows the state to those in which the condition holds (or, negated, does not); false when there is none.
[[nodiscard]] bool assume(const Condition& condition, Relation relation, AbstractState& state);

// First byte that a region, payload or scratchpad access touches; the source of copy is its own function.
AbstractValue access_offset(const Instruction& instruction, const AbstractState& state);
// Bytes that a bulk operation or a remote gather moves, at most; 0 for other instructions. Saturates.
uint64_t most_bytes_moved(const Instruction& instruction, const AbstractState& state);

}  // namespace tiara::nic
