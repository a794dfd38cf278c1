#include "nic/cc/ir.h"

#include <algorithm>

namespace tiara::nic::cc {
namespace {

template <typename Visit>
void visit_operands(Node& node, Visit visit) {
  for (ValueId& operand : node.in)
    if (operand != kNoValue) visit(operand);
  for (ValueId& operand : node.incoming) visit(operand);
}

template <typename Visit>
void visit_operands(End& end, Visit visit) {
  if (end.a != kNoValue) visit(end.a);
  if (end.b != kNoValue) visit(end.b);
  for (ValueId& operand : end.results) visit(operand);
}

// The one value that a phi can have, or the phi itself. A value that may be anything agrees with
// every other.
ValueId only_value(const Function& function, const Dominators& dominators, ValueId phi,
                   std::vector<ValueId>& forward) {
  ValueId only = kNoValue;
  bool has_undefined = false;
  for (const ValueId incoming : function.node(phi).incoming) {
    const ValueId value = resolve(forward, incoming);
    if (value == phi) continue;
    if (function.node(value).kind == NodeKind::kUndefined) {
      has_undefined = true;
      continue;
    }
    const bool is_same = only != kNoValue && function.node(only).is_constant() &&
                         function.node(value).is_constant() &&
                         function.node(only).imm == function.node(value).imm;
    if (only != kNoValue && only != value && !is_same) return phi;
    only = value;
  }
  if (only == kNoValue) return phi;
  const Node& node = function.node(only);
  const bool is_everywhere =
      node.is_constant() || node.kind == NodeKind::kFrame || node.kind == NodeKind::kParameter;
  if (has_undefined && !is_everywhere &&
      !dominators.dominates(node.block, function.node(phi).block))
    return phi;
  return only;
}

void remove_unreachable_blocks(Function& function, const Dominators& dominators) {
  for (BlockId block = 0; block < function.blocks.size(); ++block) {
    Block& dead = function.blocks[block];
    if (!dead.is_reachable || dominators.is_reachable(block)) continue;
    dead.is_reachable = false;
    for (uint32_t i = 0; i < dead.end.ways(); ++i)
      remove_predecessor(function, dead.end.to[i], block);
    dead.phis.clear();
    dead.body.clear();
    dead.end = End{};
  }
}

void simplify_phis(Function& function, const Dominators& dominators) {
  std::vector<ValueId> forward(function.nodes.size());
  for (ValueId i = 0; i < forward.size(); ++i) forward[i] = i;
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (const BlockId block : dominators.order) {
      std::erase_if(function.blocks[block].phis, [&](ValueId phi) {
        const ValueId value = only_value(function, dominators, phi, forward);
        if (value == phi) return false;
        forward[phi] = value;
        return has_changed = true;
      });
    }
  }
  apply(function, forward);
}

void remove_dead_values(Function& function) {
  std::vector<bool> is_live(function.nodes.size());
  std::vector<ValueId> work;
  const auto mark = [&](ValueId& value) {
    if (is_live[value]) return;
    is_live[value] = true;
    work.push_back(value);
  };
  for (Block& block : function.blocks) {
    for (ValueId value : block.body)
      if (function.node(value).has_effect()) mark(value);
    visit_operands(block.end, mark);
    if (block.end.index != kNoValue) mark(block.end.index);
  }
  while (!work.empty()) {
    const ValueId value = work.back();
    work.pop_back();
    visit_operands(function.node(value), mark);
  }
  for (Block& block : function.blocks) {
    std::erase_if(block.phis, [&](ValueId value) { return !is_live[value]; });
    std::erase_if(block.body, [&](ValueId value) { return !is_live[value]; });
  }
}

}  // namespace

bool Node::has_result() const {
  if (kind == NodeKind::kLoopBegin) return false;
  return kind != NodeKind::kInstruction || info(info(opcode).format).writes_rd;
}

bool Node::has_effect() const {
  if (kind == NodeKind::kLoopBegin) return true;
  if (kind != NodeKind::kInstruction) return false;
  // A load that nobody uses can still fault: it stays. What only computes, or reads the scratchpad,
  // may go.
  const CostClass cost = info(opcode).cost;
  if (cost == CostClass::kScratchpad) return !has_result();
  return cost != CostClass::kAlu && cost != CostClass::kMul && cost != CostClass::kDiv;
}

Successors Function::successors() const {
  Successors result(blocks.size());
  for (BlockId block = 0; block < blocks.size(); ++block)
    for (uint32_t i = 0; i < blocks[block].end.ways(); ++i)
      result[block].push_back(blocks[block].end.to[i]);
  return result;
}

ValueId resolve(std::vector<ValueId>& forward, ValueId value) {
  ValueId root = value;
  while (forward[root] != root) root = forward[root];
  while (forward[value] != root) {
    const ValueId next = forward[value];
    forward[value] = root;
    value = next;
  }
  return root;
}

void apply(Function& function, std::vector<ValueId>& forward) {
  const auto replace = [&](ValueId& value) { value = resolve(forward, value); };
  for (Block& block : function.blocks) {
    for (const ValueId phi : block.phis) visit_operands(function.node(phi), replace);
    for (const ValueId value : block.body) visit_operands(function.node(value), replace);
    visit_operands(block.end, replace);
  }
}

void remove_predecessor(Function& function, BlockId block, BlockId from) {
  Block& target = function.blocks[block];
  const auto at = std::find(target.from.begin(), target.from.end(), from);
  if (at == target.from.end()) return;
  const auto index = at - target.from.begin();
  target.from.erase(at);
  for (const ValueId phi : target.phis) {
    auto& incoming = function.node(phi).incoming;
    incoming.erase(incoming.begin() + index);
  }
}

void clean_up(Function& function) {
  const Dominators dominators = dominators_of(function.successors());
  remove_unreachable_blocks(function, dominators);
  simplify_phis(function, dominators);
  remove_dead_values(function);
}

}  // namespace tiara::nic::cc
