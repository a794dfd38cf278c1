#include <algorithm>

#include "nic/cc/optimize.h"

namespace tiara::nic::cc {
namespace {

class Sinker {
 public:
  explicit Sinker(Function& function)
      : function_(function), has_phi_(function.nodes.size()), is_wanted_(function.nodes.size()) {}

  void run() {
    for (const Block& block : function_.blocks)
      for (const ValueId phi : block.phis)
        for (const ValueId value : function_.node(phi).incoming) has_phi_[value] = true;
    for (Block& block : function_.blocks)
      if (block.loop != kNoLoop) sink(block);
  }

 private:
  bool only_computes(const Node& node) const {
    if (node.kind != NodeKind::kInstruction || !node.has_result()) return false;
    const CostClass cost = info(node.opcode).cost;
    return cost == CostClass::kAlu || cost == CostClass::kMul || cost == CostClass::kDiv;
  }

  // From the end to the start: what nobody here waits for goes last, and takes along what only it
  // waits for.
  void sink(Block& block) {
    std::vector<ValueId> stays, sinks;
    std::fill(is_wanted_.begin(), is_wanted_.end(), false);
    for (const ValueId operand : {block.end.a, block.end.b})
      if (operand != kNoValue) is_wanted_[operand] = true;
    for (const ValueId operand : block.end.results) is_wanted_[operand] = true;
    std::vector<ValueId> feeds;  // operands of what sinks
    for (auto value = block.body.rbegin(); value != block.body.rend(); ++value) {
      const Node& node = function_.node(*value);
      const bool feeds_sunk = std::find(feeds.begin(), feeds.end(), *value) != feeds.end();
      const bool can_sink =
          only_computes(node) && !is_wanted_[*value] && (has_phi_[*value] || feeds_sunk);
      (can_sink ? sinks : stays).push_back(*value);
      for (const ValueId operand : node.in) {
        if (operand == kNoValue) continue;
        if (can_sink)
          feeds.push_back(operand);
        else
          is_wanted_[operand] = true;
      }
    }
    std::reverse(stays.begin(), stays.end());
    stays.insert(stays.end(), sinks.rbegin(), sinks.rend());
    block.body = std::move(stays);
  }

  Function& function_;
  std::vector<bool> has_phi_;
  std::vector<bool> is_wanted_;  // by something that stays where it is
};

}  // namespace

void sink_updates(Function& function) {
  Sinker(function).run();
}

}  // namespace tiara::nic::cc
