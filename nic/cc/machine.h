// Instructions of Tiara on any number of registers: what register allocation works on.
//
// Registers 0 to 15 are the real ones; they appear only where the program starts (arguments) and
// ends (results).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "nic/cc/ir.h"

namespace tiara::nic::cc {

using Register = uint32_t;
inline constexpr Register kNoRegister = UINT32_MAX;

struct MachineInstruction {
  Opcode opcode = Opcode::kMov;
  bool is_constant = false;  // rd = imm, all 64 bits; `opcode` means nothing
  std::array<Register, 4> in{kNoRegister, kNoRegister, kNoRegister, kNoRegister};  // by Operand
  Register rd = kNoRegister;                                                       // written
  uint8_t region = 0;
  uint8_t flags = 0;
  int64_t imm = 0;
  Place place{};
};

// One of the copies that a block makes at its end, all at once.
struct Copy {
  Register to = kNoRegister;
  Register from = kNoRegister;  // kNoRegister: the constant
  int64_t constant = 0;
  Place place{};
};

struct MachineEnd {
  EndKind kind = EndKind::kFail;
  Opcode condition = Opcode::kJump;
  Register a = kNoRegister;  // kBranch; of a loop's entry block: the trip count
  Register b = kNoRegister;  // kBranch; kNoRegister: the immediate
  int64_t imm = 0;
  std::array<BlockId, 2> to{kNoBlock, kNoBlock};
  Register index = kNoRegister;  // kLoop: written
  uint32_t bound = 0;            // kLoop
  uint32_t results = 0;          // kReturn: in registers 0 to results - 1
  uint32_t reason = 0;           // kFail
  Place place{};

  uint32_t ways() const {
    return kind == EndKind::kJump ? 1 : kind == EndKind::kBranch || kind == EndKind::kLoop ? 2 : 0;
  }
};

struct MachineBlock {
  std::vector<MachineInstruction> body;
  std::vector<Copy> copies;
  MachineEnd end;
  uint32_t loop = kNoLoop;
};

struct MachineFunction {
  std::vector<MachineBlock> blocks;
  std::vector<Loop> loops;
  uint32_t registers = kRegisters;  // how many there are
  uint32_t scratchpad_bytes = 0;

  Successors successors() const;
  uint32_t depth_of(BlockId block) const {
    return blocks[block].loop == kNoLoop ? 0 : loops[blocks[block].loop].depth;
  }
};

enum class ConstantPlacement : uint8_t {
  kHoisted,  // in front of all loops: fewest steps
  kLocal,    // at each use: fewest registers
};

// Takes the function out of static single assignment: phis become copies at the ends of their
// predecessors, with blocks of their own on edges that need them.
MachineFunction lower(Function function, ConstantPlacement placement);

}  // namespace tiara::nic::cc
