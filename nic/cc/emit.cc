#include "nic/cc/emit.h"

#include <algorithm>
#include <string>

#include "runtime/base/check.h"

namespace tiara::nic::cc {
namespace {

uint8_t number(Register reg) {
  TIARA_CHECK(reg == kNoRegister || reg < kRegisters);
  return reg == kNoRegister ? uint8_t{0} : static_cast<uint8_t>(reg);
}

class Emitter {
 public:
  explicit Emitter(MachineFunction function) : function_(std::move(function)) {}

  Result<Emitted> run() {
    find_loops();
    end_early();
    order_ = order_blocks(function_);
    find_positions();
    for (position_ = 0; position_ < order_.size(); ++position_) {
      block_ = order_[position_];
      if (is_empty(block_) || is_head(block_)) continue;
      emit_block(function_.blocks[block_]);
      if (out_.code.size() > kMaxInstructions)
        return fail(ErrorCode::kRejected,
                    "the operator has more than 4096 instructions; make it smaller");
    }
    set_displacements();
    return std::move(out_);
  }

 private:
  void find_loops() {
    entry_of_.assign(function_.blocks.size(), kNoLoop);
    latch_of_.assign(function_.blocks.size(), kNoLoop);
    for (uint32_t i = 0; i < function_.loops.size(); ++i) {
      const Loop& loop = function_.loops[i];
      if (function_.blocks[loop.head].end.kind != EndKind::kLoop) continue;
      entry_of_[loop.entry] = i;
      latch_of_[loop.latch] = i;
    }
  }

  bool is_head(BlockId block) const { return function_.blocks[block].end.kind == EndKind::kLoop; }
  bool is_plain_jump(BlockId block) const {
    return function_.blocks[block].end.kind == EndKind::kJump && entry_of_[block] == kNoLoop &&
           latch_of_[block] == kNoLoop;
  }
  // Nothing would be written for it: branches to it go where it leads.
  bool is_empty(BlockId block) const {
    const MachineBlock& candidate = function_.blocks[block];
    return is_plain_jump(block) && candidate.body.empty() && candidate.copies.empty();
  }
  BlockId destination(BlockId block) const {
    while (is_empty(block)) block = function_.blocks[block].end.to[0];
    return block;
  }

  // A jump to nothing but the end of the operator is that end.
  void end_early() {
    for (BlockId block = 0; block < function_.blocks.size(); ++block) {
      if (!is_plain_jump(block)) continue;
      const MachineBlock& target = function_.blocks[destination(block)];
      if (target.end.ways() == 0 && target.body.empty() && target.copies.empty())
        function_.blocks[block].end = target.end;
    }
  }

  void find_positions() {
    starts_.assign(function_.blocks.size(), 0);
    next_.assign(order_.size() + 1, kNoBlock);
    for (size_t i = order_.size(); i-- > 0;)
      next_[i] = is_empty(order_[i]) || is_head(order_[i]) ? next_[i + 1] : order_[i];
  }
  // The block whose code follows the code of the one that is written now.
  BlockId following() const { return next_[position_ + 1]; }

  void emit_block(const MachineBlock& block) {
    starts_[block_] = static_cast<uint32_t>(out_.code.size());
    for (const MachineInstruction& instruction : block.body) emit_instruction(instruction);
    for (const MachineInstruction& instruction : in_sequence(block.copies))
      emit_instruction(instruction);
    emit_end(block.end);
  }

  void push(const Instruction& instruction, const Place& place) {
    out_.code.push_back(instruction);
    out_.places.push_back(place);
  }

  void emit_instruction(const MachineInstruction& in) {
    if (in.is_constant) return emit_constant(in);
    const FormatInfo& format = info(info(in.opcode).format);
    Instruction made{.opcode = in.opcode,
                     .region = in.region,
                     .flags = in.flags,
                     .imm = static_cast<int32_t>(in.imm)};
    made.rd = format.writes_rd ? number(in.rd) : number(in.in[kRd]);
    made.rs1 = number(in.in[kRs1]);
    made.rs2 = number(in.in[kRs2]);
    made.rs3 = number(in.in[kRs3]);
    push(made, in.place);
  }

  void emit_constant(const MachineInstruction& in) {
    const auto low = static_cast<int32_t>(in.imm);
    push({.opcode = Opcode::kLi, .rd = number(in.rd), .imm = low}, in.place);
    if (low != in.imm)
      push({.opcode = Opcode::kLih, .rd = number(in.rd), .imm = static_cast<int32_t>(in.imm >> 32)},
           in.place);
  }

  // --- ends ---

  struct Fixup {
    uint32_t at;
    BlockId to;
  };

  void branch_to(Instruction instruction, BlockId target, uint32_t depth, const Place& place) {
    const BlockId to = destination(target);
    instruction.flags = static_cast<uint8_t>(depth - function_.depth_of(to));
    fixups_.push_back({static_cast<uint32_t>(out_.code.size()), to});
    push(instruction, place);
  }
  void go_to(BlockId target, uint32_t depth, const Place& place) {
    if (destination(target) != following())
      branch_to({.opcode = Opcode::kJump}, target, depth, place);
  }

  void emit_end(const MachineEnd& end) {
    const uint32_t depth = function_.depth_of(block_);
    switch (end.kind) {
      case EndKind::kReturn:
        return push({.opcode = Opcode::kRet, .imm = static_cast<int32_t>(end.results)}, end.place);
      case EndKind::kFail:
        return push({.opcode = Opcode::kFail, .imm = static_cast<int32_t>(end.reason)}, end.place);
      case EndKind::kBranch: return emit_branch(end, depth);
      case EndKind::kJump:
        if (entry_of_[block_] != kNoLoop) return emit_loop(end, function_.loops[entry_of_[block_]]);
        if (latch_of_[block_] != kNoLoop)
          return emit_endloop(end, function_.loops[latch_of_[block_]]);
        return go_to(end.to[0], depth, end.place);
      case EndKind::kLoop: return;
    }
  }

  void emit_loop(const MachineEnd& end, const Loop& loop) {
    const MachineEnd& head = function_.blocks[loop.head].end;
    open_loops_.push_back(static_cast<uint32_t>(out_.code.size()));
    push({.opcode = Opcode::kLoop,
          .rd = number(head.index),
          .rs1 = number(end.a),
          .imm = pack_loop(head.bound, 0)},
         head.place);
    go_to(head.to[0], loop.depth, head.place);
  }

  void emit_endloop(const MachineEnd& end, const Loop& loop) {
    const auto at = static_cast<uint32_t>(out_.code.size());
    Instruction& opener = out_.code[open_loops_.back()];
    opener.imm = pack_loop(opener.loop_bound(), at - open_loops_.back() - 1);
    open_loops_.pop_back();
    push({.opcode = Opcode::kEndLoop}, end.place);
    go_to(function_.blocks[loop.head].end.to[1], loop.depth - 1, end.place);
  }

  static Opcode negated(Opcode condition) {
    // The table pairs each condition with its opposite: beq bne, bltu bgeu, blts bges, bset bclr.
    return static_cast<Opcode>(static_cast<uint8_t>(condition) ^ 1);
  }

  void emit_branch(const MachineEnd& end, uint32_t depth) {
    const BlockId taken = destination(end.to[0]), not_taken = destination(end.to[1]);
    if (taken == not_taken) return go_to(taken, depth, end.place);
    const bool is_inverted = taken == following();
    Opcode condition = is_inverted ? negated(end.condition) : end.condition;
    Instruction branch{.rs1 = number(end.a)};
    if (end.b == kNoRegister) {
      condition = static_cast<Opcode>(static_cast<uint8_t>(condition) + 8);  // the immediate form
      branch.imm = pack_branch(0, static_cast<int32_t>(end.imm));
    } else {
      branch.rs2 = number(end.b);
    }
    branch.opcode = condition;
    branch_to(branch, is_inverted ? not_taken : taken, depth, end.place);
    if (!is_inverted) go_to(not_taken, depth, end.place);
  }

  void set_displacements() {
    for (const Fixup& fixup : fixups_) {
      TIARA_CHECK(starts_[fixup.to] > fixup.at);
      Instruction& branch = out_.code[fixup.at];
      branch.imm =
          static_cast<int32_t>((branch.bits() & 0xffff0000) | (starts_[fixup.to] - fixup.at));
    }
  }

  MachineFunction function_;
  std::vector<uint32_t> entry_of_, latch_of_;  // the loop that a block is the entry or latch of
  std::vector<BlockId> order_, next_;
  std::vector<uint32_t> starts_;
  std::vector<uint32_t> open_loops_;
  std::vector<Fixup> fixups_;
  size_t position_ = 0;
  BlockId block_ = 0;
  Emitted out_;
};

}  // namespace

std::vector<MachineInstruction> in_sequence(std::vector<Copy> copies) {
  std::vector<MachineInstruction> out;
  const auto move = [&](const Copy& copy) {
    out.push_back({.opcode = Opcode::kMov,
                   .in = {copy.from, kNoRegister, kNoRegister, kNoRegister},
                   .rd = copy.to,
                   .place = copy.place});
  };
  std::vector<Copy> constants;
  std::erase_if(copies, [&](const Copy& copy) {
    if (copy.from == kNoRegister) constants.push_back(copy);
    return copy.from == kNoRegister || copy.from == copy.to;
  });
  while (!copies.empty()) {
    // A copy whose target nobody reads any more can go first.
    const auto is_read = [&](Register reg) {
      return std::any_of(copies.begin(), copies.end(),
                         [&](const Copy& copy) { return copy.from == reg; });
    };
    const auto free = std::find_if(copies.begin(), copies.end(),
                                   [&](const Copy& copy) { return !is_read(copy.to); });
    if (free != copies.end()) {
      move(*free);
      copies.erase(free);
      continue;
    }
    // Only cycles are left. Exchange two registers of one; the cycle is then one shorter.
    const Copy copy = copies.front();
    for (int i = 0; i < 3; ++i)
      out.push_back({.opcode = Opcode::kXor,
                     .in = {copy.to, copy.from, kNoRegister, kNoRegister},
                     .rd = i == 1 ? copy.from : copy.to,
                     .place = copy.place});
    copies.erase(copies.begin());
    for (Copy& other : copies)
      if (other.from == copy.to) other.from = copy.from;
    std::erase_if(copies, [](const Copy& other) { return other.from == other.to; });
  }
  for (const Copy& copy : constants)
    out.push_back({.is_constant = true, .rd = copy.to, .imm = copy.constant, .place = copy.place});
  return out;
}

Result<Emitted> emit(MachineFunction function) {
  return Emitter(std::move(function)).run();
}

}  // namespace tiara::nic::cc
