// The shape of a program: its loops, nested, and where its branches go. Made only of code whose shape is
// sound: every branch lands on an instruction, no loop is entered except through its LOOP, every branch pops
// as many loop frames as it leaves, and nothing falls off the end.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "nic/isa/instruction.h"
#include "nic/verifier/rejection.h"

namespace tiara::nic {

inline constexpr uint32_t kNoLoop = UINT32_MAX;

// The body is the instructions of (begin, end); ENDLOOP at `end` belongs to it, LOOP at `begin` does not.
struct LoopShape {
  uint32_t begin;   // index of the LOOP
  uint32_t end;     // index of its ENDLOOP
  uint32_t parent;  // index into Flow::loops, or kNoLoop
  uint32_t depth;   // 1 for an outermost loop
};

class Flow {
 public:
  static std::expected<Flow, Rejection> of(std::span<const Instruction> code);

  std::span<const LoopShape> loops() const { return loops_; }  // in order of `begin`: parents before children
  // The innermost loop whose body the instruction is in; kNoLoop outside all loops.
  uint32_t loop_around(uint32_t pc) const { return around_[pc]; }
  // For the LOOP and for the ENDLOOP at pc: their loop.
  uint32_t loop_at(uint32_t pc) const { return at_[pc]; }
  uint32_t depth(uint32_t pc) const { return around_[pc] == kNoLoop ? 0 : loops_[around_[pc]].depth; }

 private:
  Flow() = default;
  std::optional<Rejection> find_loops(std::span<const Instruction> code);
  std::optional<Rejection> check_branch(std::span<const Instruction> code, uint32_t pc) const;

  std::vector<LoopShape> loops_;
  std::vector<uint32_t> around_;
  std::vector<uint32_t> at_;
};

// The instruction that a taken branch at pc continues with.
inline uint32_t branch_target(const Instruction& branch, uint32_t pc) { return pc + branch.displacement(); }

}  // namespace tiara::nic
