// What each instruction needs before it may run, as data: derived from the instruction alone, apart from
// proving it.
#pragma once

#include <optional>
#include <vector>

#include "nic/isa/program.h"
#include "nic/verifier/rejection.h"
#include "nic/verifier/state.h"

namespace tiara::nic {

struct Precondition {
  Requirement requirement;
  uint32_t instruction;
  // The operands that the requirement is about; unused ones are as here.
  uint8_t reg = 0;
  uint8_t region = 0;
  Permission permission = Permission::kNone;
  // Scratchpad: `bytes` (times the value of `count`, when there is one) from reg + displacement, or from
  // displacement alone when `is_absolute`.
  bool is_absolute = false;
  int64_t displacement = 0;
  uint64_t bytes = 0;
  std::optional<uint8_t> count;
};

// Appends the preconditions of the instruction at pc.
void append_preconditions(const Program& program, uint32_t pc, std::vector<Precondition>& out);

// What a region instruction does to the region it names (copy: to the destination).
Permission permission_used(Opcode opcode);

// A rejection when the precondition does not follow from the state.
std::optional<Rejection> prove(const Precondition& precondition, const Program& program,
                               const AbstractState& state);

}  // namespace tiara::nic
