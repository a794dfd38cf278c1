#include "nic/cc/shape.h"

#include <algorithm>
#include <optional>

#include "nic/cc/intrinsics.h"

namespace tiara::nic::cc {
namespace {

constexpr const char* kUnboundedLoop =
    "a loop without a bound; write TIARA_LOOP(i, trips, BOUND) { ... }, or let clang unroll it "
    "(#pragma unroll)";

// Of blocks, for loops whose ways in and back share code. A loop of plain C has as many as its body
// has blocks in a row, and is refused all the same.
constexpr uint32_t kMaxClones = 256;

bool is_jump_class(const BpfInstruction& instruction) {
  return instruction.instruction_class() == bpf::kClassJmp ||
         instruction.instruction_class() == bpf::kClassJmp32;
}
// Direct and indirect ones: lift() refuses the indirect ones, which must not pass for branches here.
bool is_call(const BpfInstruction& instruction) {
  return is_jump_class(instruction) && (instruction.opcode & bpf::kOperation) == (bpf::kCall & bpf::kOperation);
}

const Intrinsic* intrinsic_of(const BpfInstruction& instruction) {
  return instruction.opcode == bpf::kCall ? find_intrinsic(instruction.symbol) : nullptr;
}
bool is_loop_next(const BpfInstruction& instruction) {
  const Intrinsic* const intrinsic = intrinsic_of(instruction);
  return intrinsic != nullptr && intrinsic->kind == IntrinsicKind::kLoopNext;
}
bool ends_operator(const BpfInstruction& instruction) {
  const Intrinsic* const intrinsic = intrinsic_of(instruction);
  return instruction.opcode == bpf::kExit || (intrinsic != nullptr && intrinsic->ends_operator());
}
// Branches, but not calls.
bool is_branch(const BpfInstruction& instruction) {
  return is_jump_class(instruction) && !is_call(instruction) && instruction.opcode != bpf::kExit;
}

class Shaper {
 public:
  explicit Shaper(const std::vector<BpfInstruction>& code) : code_(code) {}

  Result<Shape> run() {
    TIARA_TRY_VOID(find_blocks());
    TIARA_TRY_VOID(check_back_edges());
    for (BlockId block = 0; block < original_; ++block) TIARA_TRY_VOID(split_loop_head(block));
    redirect_edges();
    return std::move(shape_);
  }

 private:
  std::optional<uint32_t> target_of(uint32_t at) const {
    const int64_t target = int64_t{at} + 1 + code_[at].offset;
    if (target < 0 || target >= static_cast<int64_t>(code_.size()) ||
        code_[static_cast<size_t>(target)].is_second_slot)
      return std::nullopt;
    return static_cast<uint32_t>(target);
  }

  Result<void> find_blocks() {
    std::vector<bool> is_leader(code_.size() + 1);
    is_leader[0] = true;
    for (uint32_t at = 0; at < code_.size(); ++at) {
      if (is_branch(code_[at])) {
        const auto target = target_of(at);
        if (!target) return refuse_at(code_[at].place, "a branch that leaves the function");
        is_leader[*target] = is_leader[at + 1] = true;
      } else if (ends_operator(code_[at])) {
        is_leader[at + 1] = true;
      }
    }
    // Block 0 is ours: an edge back to the first instruction must have a block to lead to.
    shape_.blocks.push_back({.first = 0, .last = 0, .kind = ShapeKind::kJump, .to = {1, kNoBlock}});
    std::vector<BlockId> block_at(code_.size() + 1, kNoBlock);
    for (uint32_t first = 0; first < code_.size();) {
      uint32_t end = first + 1;
      while (!is_leader[end] && end < code_.size()) ++end;
      block_at[first] = static_cast<BlockId>(shape_.blocks.size());
      shape_.blocks.push_back({.first = first, .last = end});
      first = end;
    }
    original_ = static_cast<BlockId>(shape_.blocks.size());
    for (BlockId i = 1; i < original_; ++i) connect(shape_.blocks[i], block_at);
    return {};
  }

  void connect(ShapeBlock& block, const std::vector<BlockId>& block_at) {
    const uint32_t at = block.last - 1;
    const BpfInstruction& end = code_[at];
    const BlockId next =
        block_at[block.last];  // kNoBlock: the code falls off its end, if it is ever reached
    if (ends_operator(end)) {
      block.last = at;
      block.kind = ShapeKind::kEnd;
    } else if (is_branch(end)) {
      block.last = at;
      const BlockId taken = block_at[*target_of(at)];
      const bool is_unconditional =
          end.instruction_class() == bpf::kClassJmp && end.opcode == bpf::kJump;
      block.kind = is_unconditional || taken == next ? ShapeKind::kJump : ShapeKind::kBranch;
      block.to = {taken, is_unconditional ? kNoBlock : next};
    } else {
      block.to[0] = next;
    }
  }

  Successors successors() const {
    Successors result(shape_.blocks.size());
    for (BlockId block = 0; block < shape_.blocks.size(); ++block)
      for (uint32_t i = 0; i < shape_.blocks[block].ways(); ++i)
        if (shape_.blocks[block].to[i] != kNoBlock)
          result[block].push_back(shape_.blocks[block].to[i]);
    return result;
  }

  const Place& place_of(BlockId block) const {
    return code_[std::min<size_t>(shape_.blocks[block].first, code_.size() - 1)].place;
  }

  // Every edge that does not go forward in reverse postorder goes back to a block that dominates
  // its source and that is the head of a TIARA_LOOP.
  Result<void> check_back_edges() {
    const Successors edges = successors();
    dominators_ = dominators_of(edges);
    for (const BlockId from : dominators_.order) {
      const ShapeBlock& block = shape_.blocks[from];
      for (uint32_t i = 0; i < block.ways(); ++i)
        if (block.to[i] == kNoBlock)
          return refuse_at(code_.back().place,
                           "the code runs off the end of the function: clang found that it is "
                           "undefined what happens there; end every path with a return");
      for (const BlockId to : edges[from]) {
        if (dominators_.position[to] > dominators_.position[from]) continue;
        if (!dominators_.dominates(to, from))
          return refuse_at(
              place_of(to),
              "a loop that is entered from its side (goto?); write it as a TIARA_LOOP");
        if (loop_next_in(to)) continue;
        if (shape_.blocks[to].kind != ShapeKind::kJump || clones_ == kMaxClones)
          return refuse_at(place_of(to), kUnboundedLoop);
        clone_for_back_edge(from, to);
        return check_back_edges();
      }
    }
    return {};
  }

  // clang may let the way into a loop and the way back share their last instructions, which then
  // stand in front of the head. The way back gets its own.
  void clone_for_back_edge(BlockId from, BlockId shared) {
    ++clones_;
    const auto clone = static_cast<BlockId>(shape_.blocks.size());
    shape_.blocks.push_back(ShapeBlock(shape_.blocks[shared]));
    original_ = clone + 1;
    for (BlockId& to : shape_.blocks[from].to)
      if (to == shared) to = clone;
  }

  std::optional<uint32_t> loop_next_in(BlockId block) const {
    for (uint32_t at = shape_.blocks[block].first; at < shape_.blocks[block].last; ++at)
      if (is_loop_next(code_[at])) return at;
    return std::nullopt;
  }

  // Does the branch at `branch` compare the index that the call at `call` gave with all ones? Then:
  // for "not equal"?
  std::optional<bool> is_end_test(uint32_t call, uint32_t branch) const {
    enum class What : uint8_t { kOther, kIndex, kAllOnes };
    std::array<What, 16> what{};
    what[0] = What::kIndex;
    for (uint32_t at = call + 1; at < branch; ++at) {
      const BpfInstruction& instruction = code_[at];
      if (is_call(instruction)) return std::nullopt;
      constexpr uint8_t kMovRegister = 0xbf, kMovImmediate = 0xb7;
      if (instruction.instruction_class() == bpf::kClassSt ||
          instruction.instruction_class() == bpf::kClassStx)
        continue;
      what[instruction.dst] = instruction.opcode == kMovRegister ? what[instruction.src]
                              : instruction.opcode == kMovImmediate && instruction.imm == -1
                                  ? What::kAllOnes
                                  : What::kOther;
    }
    const BpfInstruction& test = code_[branch];
    const uint8_t operation = test.opcode >> 4;
    constexpr uint8_t kEqual = 1, kNotEqual = 5;
    if (test.instruction_class() != bpf::kClassJmp ||
        (operation != kEqual && operation != kNotEqual))
      return std::nullopt;
    const bool has_register = (test.opcode & bpf::kRegisterSource) != 0;
    const What left = what[test.dst];
    const What right = has_register     ? what[test.src]
                       : test.imm == -1 ? What::kAllOnes
                                        : What::kOther;
    const bool is_test = (left == What::kIndex && right == What::kAllOnes) ||
                         (left == What::kAllOnes && right == What::kIndex);
    if (!is_test) return std::nullopt;
    return operation == kNotEqual;
  }

  // The head of a TIARA_LOOP is [P; call; Q; if index == -1 goto exit]. P runs before every test,
  // so it goes to both ways in; Q after every test, so it goes to both ways out.
  Result<void> split_loop_head(BlockId original) {
    if (!dominators_.is_reachable(original)) return {};
    const auto call = loop_next_in(original);
    if (!call) return {};
    const ShapeBlock block = shape_.blocks[original];
    const auto is_not_equal =
        block.kind == ShapeKind::kBranch ? is_end_test(*call, block.last) : std::nullopt;
    if (!is_not_equal)
      return refuse_at(code_[*call].place,
                       "the end test of this loop is not as TIARA_LOOP writes it; compile with the "
                       "flags of `tiara cc`");
    const BlockId taken = block.to[0], not_taken = block.to[1];
    const auto append = [this](ShapeBlock made) {
      shape_.blocks.push_back(made);
      return static_cast<BlockId>(shape_.blocks.size() - 1);
    };
    const BlockId body = append({.first = *call + 1,
                                 .last = block.last,
                                 .to = {*is_not_equal ? taken : not_taken, kNoBlock}});
    const BlockId exit = append({.first = *call + 1,
                                 .last = block.last,
                                 .to = {*is_not_equal ? not_taken : taken, kNoBlock},
                                 .is_after_loop = true});
    const BlockId head =
        append({.first = *call, .last = *call, .kind = ShapeKind::kLoopHead, .to = {body, exit}});
    const BlockId latch = append({.first = block.first, .last = *call, .to = {head, kNoBlock}});
    // The original block stays as the way in, so that edges from outside need no change.
    shape_.blocks[original] = {.first = block.first, .last = *call, .to = {head, kNoBlock}};
    shape_.loops.push_back({.entry = original, .head = head, .latch = latch});
    return {};
  }

  // Back edges now lead to the entry blocks; send them to the latches. The pieces of a split block
  // stand where it stood for this: its way out (body and exit) has the same dominators.
  void redirect_edges() {
    const auto owner = owners();
    for (ShapeLoop& loop : shape_.loops) {
      bool has_back_edge = false;
      for (BlockId from = 0; from < shape_.blocks.size(); ++from) {
        ShapeBlock& block = shape_.blocks[from];
        for (uint32_t i = 0; i < block.ways(); ++i) {
          if (block.to[i] != loop.entry || owner[from] == kNoBlock ||
              !dominators_.dominates(loop.entry, owner[from]))
            continue;
          block.to[i] = loop.latch;
          has_back_edge = true;
        }
      }
      if (!has_back_edge) loop.latch = kNoBlock;
    }
  }

  // The original block that each block is a piece of.
  std::vector<BlockId> owners() const {
    std::vector<BlockId> owner(shape_.blocks.size(), kNoBlock);
    for (BlockId block = 0; block < original_; ++block)
      if (dominators_.is_reachable(block)) owner[block] = block;
    for (const ShapeLoop& loop : shape_.loops) {
      owner[shape_.blocks[loop.head].to[0]] = owner[shape_.blocks[loop.head].to[1]] = loop.entry;
      owner[loop.head] = loop.entry;
      // A latch only leads to its head.
    }
    return owner;
  }

  const std::vector<BpfInstruction>& code_;
  Shape shape_;
  uint32_t clones_ = 0;
  BlockId original_ = 0;  // blocks below this one are pieces of the code as it stood
  Dominators dominators_;
};

}  // namespace

std::unexpected<Error> refuse_at(const Place& place, const std::string& what) {
  const std::string where = to_string(place);
  return fail(ErrorCode::kRejected, where.empty() ? what : where + ": " + what);
}

Result<Shape> find_shape(const std::vector<BpfInstruction>& code) {
  return Shaper(code).run();
}

}  // namespace tiara::nic::cc
