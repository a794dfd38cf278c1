#include <algorithm>
#include <map>
#include <optional>

#include "nic/cc/machine.h"

namespace tiara::nic::cc {
namespace {

// An edge from a block with two ways to one with several predecessors has no place for copies: it
// gets a block.
void split_critical_edges(Function& function) {
  const auto parent_loop_of_both = [&](uint32_t a, uint32_t b) {
    const auto depth = [&](uint32_t loop) {
      return loop == kNoLoop ? 0 : function.loops[loop].depth;
    };
    while (a != b)
      (depth(a) >= depth(b) ? a : b) = function.loops[depth(a) >= depth(b) ? a : b].parent;
    return a;
  };
  const auto count = static_cast<BlockId>(function.blocks.size());
  for (BlockId from = 0; from < count; ++from) {
    if (function.blocks[from].end.ways() != 2) continue;
    for (uint32_t i = 0; i < 2; ++i) {
      const BlockId to = function.blocks[from].end.to[i];
      if (function.blocks[to].from.size() < 2 || function.blocks[to].phis.empty()) continue;
      const auto middle = static_cast<BlockId>(function.blocks.size());
      Block block{.end = {.kind = EndKind::kJump,
                          .to = {to, kNoBlock},
                          .place = function.blocks[from].end.place},
                  .from = {from}};
      block.loop = parent_loop_of_both(function.blocks[from].loop, function.blocks[to].loop);
      function.blocks.push_back(std::move(block));
      function.blocks[from].end.to[i] = middle;
      auto& predecessors = function.blocks[to].from;
      *std::find(predecessors.begin(), predecessors.end(), from) = middle;
    }
  }
}

class Lowerer {
 public:
  Lowerer(Function function, ConstantPlacement placement)
      : function_(std::move(function)), placement_(placement) {}

  MachineFunction run() {
    split_critical_edges(function_);
    registers_.assign(function_.nodes.size(), kNoRegister);
    machine_.loops = function_.loops;
    machine_.scratchpad_bytes = function_.scratchpad_bytes;
    machine_.blocks.resize(function_.blocks.size());
    if (placement_ == ConstantPlacement::kHoisted) place_constants();
    for (block_ = 0; block_ < function_.blocks.size(); ++block_) lower_block();
    load_arguments();
    return std::move(machine_);
  }

 private:
  MachineBlock& out() { return machine_.blocks[block_]; }
  Register fresh() { return machine_.registers++; }

  Register register_of(ValueId value) {
    if (value == kNoValue) return kNoRegister;
    if (registers_[value] == kNoRegister) registers_[value] = fresh();
    return registers_[value];
  }

  // --- constants in registers ---

  static bool fits_condition(const End& end, int64_t value) {
    if (end.condition == Opcode::kBset || end.condition == Opcode::kBclr)
      return value >= 0 && value < 64;
    return value == static_cast<int16_t>(value);
  }

  // Visits the constants that a block needs in registers; `position` is where: an index into its
  // body, or its size.
  template <typename Visit>
  void visit_constants(BlockId id, Visit visit) {
    Block& block = function_.blocks[id];
    const auto look = [&](ValueId value, size_t position) {
      if (value != kNoValue && function_.node(value).is_constant())
        visit(function_.node(value).imm, position);
    };
    for (size_t i = 0; i < block.body.size(); ++i)
      for (const ValueId operand : function_.node(block.body[i]).in) look(operand, i);
    const End& end = block.end;
    if (end.kind == EndKind::kBranch) {
      look(end.a, block.body.size());
      if (!function_.node(end.b).is_constant() || !fits_condition(end, function_.node(end.b).imm))
        look(end.b, block.body.size());
    }
    // The trip count is read where LOOP stands.
    if (const BlockId head = head_after(id); head != kNoBlock)
      look(function_.blocks[head].end.a, block.body.size());
  }

  // The head of the loop that `block` is the entry of.
  BlockId head_after(BlockId block) const {
    for (const Loop& loop : function_.loops)
      if (loop.entry == block && function_.blocks[loop.head].end.kind == EndKind::kLoop)
        return loop.head;
    return kNoBlock;
  }

  struct Home {
    BlockId block;
    size_t position;
  };

  void place_constants() {
    const Dominators dominators = dominators_of(function_.successors());
    std::map<int64_t, Home> homes;
    for (const BlockId block : dominators.order) {
      visit_constants(block, [&](int64_t value, size_t position) {
        const Home outside = out_of_loops({block, position});
        const auto [at, is_new] = homes.try_emplace(value, outside);
        if (is_new) return;
        Home& home = at->second;
        const BlockId common = dominators.common(home.block, outside.block);
        const size_t end = function_.blocks[common].body.size();
        const size_t first = home.block == common ? home.position : end;
        home = out_of_loops(
            {common, std::min(first, outside.block == common ? outside.position : end)});
      });
    }
    for (const auto& [value, home] : homes) {
      constants_[value] = fresh();
      homes_[home.block].push_back({value, home.position});
    }
  }

  Home out_of_loops(Home home) const {
    while (function_.blocks[home.block].loop != kNoLoop) {
      home.block = function_.loops[function_.blocks[home.block].loop].entry;
      home.position = function_.blocks[home.block].body.size();
    }
    return home;
  }

  void load_constants_at(size_t position) {
    const auto here = homes_.find(block_);
    if (here == homes_.end()) return;
    for (const auto& [value, at] : here->second)
      if (at == position)
        out().body.push_back(
            {.is_constant = true, .rd = constants_[value], .imm = value, .place = place_});
  }

  Register operand(ValueId value) {
    if (value == kNoValue || !function_.node(value).is_constant()) return register_of(value);
    const int64_t number = function_.node(value).imm;
    if (const auto known = constants_.find(number); known != constants_.end()) return known->second;
    const Register made = fresh();
    out().body.push_back({.is_constant = true, .rd = made, .imm = number, .place = place_});
    return made;
  }

  // --- blocks ---

  void lower_block() {
    const Block& block = function_.blocks[block_];
    out().loop = block.loop;
    if (!block.is_reachable) return;
    for (size_t i = 0; i < block.body.size(); ++i) {
      place_ = function_.node(block.body[i]).place;
      load_constants_at(i);
      lower_node(block.body[i]);
    }
    place_ = block.end.place;
    load_constants_at(block.body.size());
    lower_end(block.end);
  }

  void lower_node(ValueId value) {
    const Node& node = function_.node(value);
    MachineInstruction made{
        .opcode = node.opcode, .region = node.region, .imm = node.imm, .place = node.place};
    made.flags = info(info(node.opcode).format).flags == FlagUse::kRegion ? node.source_region
                 : node.is_absolute                                       ? 1
                                                                          : 0;
    for (uint32_t i = 0; i < 4; ++i) made.in[i] = operand(node.in[i]);
    if (node.has_result()) made.rd = register_of(value);
    if (made.rd != kNoRegister && made.in[kRd] != kNoRegister) {
      // It reads and writes the one register: the old value is brought there first.
      out().body.push_back({.opcode = Opcode::kMov,
                            .in = {made.in[kRd], kNoRegister, kNoRegister, kNoRegister},
                            .rd = made.rd,
                            .place = node.place});
      made.in[kRd] = made.rd;
    }
    out().body.push_back(made);
  }

  void copy(Register to, ValueId from) {
    const Node& node = function_.node(from);
    if (node.is_constant()) {
      out().copies.push_back({.to = to, .constant = node.imm, .place = place_});
    } else {
      out().copies.push_back({.to = to, .from = register_of(from), .place = place_});
    }
  }

  void lower_end(const End& end) {
    MachineEnd made{.kind = end.kind,
                    .condition = end.condition,
                    .to = end.to,
                    .bound = end.bound,
                    .reason = end.reason,
                    .place = end.place};
    if (end.kind == EndKind::kBranch) {
      made.a = operand(end.a);
      const Node& right = function_.node(end.b);
      if (right.is_constant() && fits_condition(end, right.imm))
        made.imm = right.imm;
      else
        made.b = operand(end.b);
    } else if (end.kind == EndKind::kLoop) {
      made.index = register_of(end.index);
    } else if (end.kind == EndKind::kReturn) {
      made.results = static_cast<uint32_t>(end.results.size());
      for (uint32_t i = 0; i < made.results; ++i) copy(i, end.results[i]);
    } else if (end.kind == EndKind::kJump) {
      if (const BlockId head = head_after(block_); head != kNoBlock)
        made.a = operand(function_.blocks[head].end.a);
      const Block& target = function_.blocks[end.to[0]];
      const auto edge =
          std::find(target.from.begin(), target.from.end(), block_) - target.from.begin();
      for (const ValueId phi : target.phis)
        copy(register_of(phi), function_.node(phi).incoming[static_cast<size_t>(edge)]);
    }
    out().end = made;
  }

  void load_arguments() {
    std::vector<MachineInstruction> moves;
    for (ValueId value = 0; value < registers_.size(); ++value)
      if (registers_[value] != kNoRegister && function_.node(value).kind == NodeKind::kParameter)
        moves.push_back({.opcode = Opcode::kMov,
                         .in = {static_cast<Register>(function_.node(value).imm), kNoRegister,
                                kNoRegister, kNoRegister},
                         .rd = registers_[value],
                         .place = function_.node(value).place});
    auto& body = machine_.blocks[0].body;
    body.insert(body.begin(), moves.begin(), moves.end());
  }

  Function function_;
  ConstantPlacement placement_;
  MachineFunction machine_;
  std::vector<Register> registers_;
  std::map<int64_t, Register> constants_;
  std::map<BlockId, std::vector<std::pair<int64_t, size_t>>> homes_;
  BlockId block_ = 0;
  Place place_;
};

}  // namespace

Successors MachineFunction::successors() const {
  Successors result(blocks.size());
  for (BlockId block = 0; block < blocks.size(); ++block)
    for (uint32_t i = 0; i < blocks[block].end.ways(); ++i)
      result[block].push_back(blocks[block].end.to[i]);
  return result;
}

MachineFunction lower(Function function, ConstantPlacement placement) {
  return Lowerer(std::move(function), placement).run();
}

}  // namespace tiara::nic::cc
