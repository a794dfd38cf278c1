#include "nic/verifier/flow.h"

#include <string>

namespace tiara::nic {
namespace {

Rejection reject(Requirement requirement, uint32_t pc, std::string detail, std::string cure) {
  return {.requirement = requirement,
          .instruction = pc,
          .detail = std::move(detail),
          .state = {},
          .cure = std::move(cure)};
}

bool falls_through(Opcode opcode) {
  return opcode != Opcode::kRet && opcode != Opcode::kFail && opcode != Opcode::kJump;
}

std::string at(uint32_t pc) { return "instruction " + std::to_string(pc); }

}  // namespace

std::optional<Rejection> Flow::find_loops(std::span<const Instruction> code) {
  std::vector<uint32_t> open;
  for (uint32_t pc = 0; pc < code.size(); ++pc) {
    around_[pc] = open.empty() ? kNoLoop : open.back();
    if (code[pc].opcode == Opcode::kLoop) {
      const uint32_t end = pc + 1 + code[pc].body_length();
      if (open.size() == kMaxLoopDepth) {
        return reject(Requirement::kLoopDepth, pc,
                      "the hardware keeps " + std::to_string(kMaxLoopDepth) + " loop frames",
                      "join two loops into one, or split the operator");
      }
      // Inside the code, and closed before the loop around it is.
      if (end >= code.size() || code[end].opcode != Opcode::kEndLoop ||
          (!open.empty() && end >= loops_[open.back()].end)) {
        return reject(Requirement::kLoopClosed, pc,
                      "the body of " + std::to_string(code[pc].body_length()) + " instructions ends at " +
                          at(end) + ", which is not an endloop of this loop",
                      "a body's length counts the instructions between loop and endloop");
      }
      at_[pc] = at_[end] = static_cast<uint32_t>(loops_.size());
      const uint32_t parent = open.empty() ? kNoLoop : open.back();
      open.push_back(at_[pc]);
      loops_.push_back({pc, end, parent, static_cast<uint32_t>(open.size())});
    } else if (code[pc].opcode == Opcode::kEndLoop) {
      if (open.empty() || loops_[open.back()].end != pc) {
        return reject(Requirement::kLoopClosed, pc, "no open loop ends here",
                      "remove it, or correct the loop's length");
      }
      open.pop_back();
    }
  }
  return std::nullopt;
}

std::optional<Rejection> Flow::check_branch(std::span<const Instruction> code, uint32_t pc) const {
  const uint32_t target = branch_target(code[pc], pc);
  if (target >= code.size()) {
    return reject(Requirement::kBranchInside, pc,
                  "the target is " + at(target) + " of " + std::to_string(code.size()),
                  "end with a ret or fail and branch to that");
  }
  // Going out from the branch through the loops around it must lead to the loop around the target.
  uint32_t loop = around_[pc];
  uint32_t left = 0;
  while (loop != around_[target] && loop != kNoLoop) {
    loop = loops_[loop].parent;
    ++left;
  }
  if (loop != around_[target]) {
    return reject(Requirement::kBranchNotIntoLoop, pc,
                  "the target, " + at(target) + ", is inside a loop that the branch is not in",
                  "branch to the loop instruction itself");
  }
  if (left != code[pc].pops()) {
    return reject(Requirement::kBranchPops, pc,
                  "it leaves " + std::to_string(left) + " loops and pops " + std::to_string(code[pc].pops()) +
                      " frames",
                  "pop one frame for each loop that the branch leaves");
  }
  return std::nullopt;
}

std::expected<Flow, Rejection> Flow::of(std::span<const Instruction> code) {
  Flow flow;
  flow.around_.resize(code.size(), kNoLoop);
  flow.at_.resize(code.size(), kNoLoop);
  if (auto rejection = flow.find_loops(code)) return std::unexpected(*rejection);
  for (uint32_t pc = 0; pc < code.size(); ++pc) {
    if (!is_branch(code[pc])) continue;
    if (auto rejection = flow.check_branch(code, pc)) return std::unexpected(*rejection);
  }
  const auto last = static_cast<uint32_t>(code.size()) - 1;
  if (code.empty() || falls_through(code[last].opcode)) {
    return std::unexpected(reject(Requirement::kEveryPathEnds, last,
                                  "the last instruction is not a ret or fail",
                                  "end every path with ret or fail"));
  }
  return flow;
}

}  // namespace tiara::nic
