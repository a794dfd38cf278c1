// From blocks to a program: an order in which every branch goes forward, loops as LOOP...ENDLOOP,
// words.
#pragma once

#include <string>
#include <vector>

#include "nic/cc/machine.h"
#include "nic/isa/program.h"
#include "runtime/base/error.h"

namespace tiara::nic::cc {

struct Emitted {
  std::vector<Instruction> code;
  std::vector<Place> places;  // of each instruction
};

// All registers are below 16.
Result<Emitted> emit(MachineFunction function);

// The blocks in order: each loop in one piece with its head first and its latch last, everything
// else behind all that leads to it.
std::vector<BlockId> order_blocks(const MachineFunction& function);

// Copies that happen all at once, one after the other; two registers that change places do so
// without a third.
std::vector<MachineInstruction> in_sequence(std::vector<Copy> copies);

}  // namespace tiara::nic::cc
