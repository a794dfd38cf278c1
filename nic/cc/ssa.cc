#include "nic/cc/ssa.h"

#include <algorithm>

namespace tiara::nic::cc {

SsaBuilder::SsaBuilder(Function& function, uint32_t variables)
    : function_(function),
      variables_(variables),
      definitions_(function.blocks.size() * variables, kNoValue),
      is_filled_(function.blocks.size()) {}

void SsaBuilder::write(BlockId block, uint32_t variable, ValueId value) {
  definition(block, variable) = value;
}

// All phis get their operands at the end, from one work list: no recursion, so the depth of the
// code does not matter.
ValueId SsaBuilder::new_phi(BlockId block, uint32_t variable) {
  const ValueId phi = function_.add({.kind = NodeKind::kPhi, .block = block});
  function_.blocks[block].phis.push_back(phi);
  unfinished_.push_back({phi, variable});
  definition(block, variable) = phi;
  return phi;
}

ValueId SsaBuilder::read(BlockId block, uint32_t variable) {
  // Up a chain of only predecessors until somebody knows.
  BlockId at = block;
  ValueId value = kNoValue;
  while (value == kNoValue) {
    value = definition(at, variable);
    if (value != kNoValue) break;
    const std::vector<BlockId>& from = function_.blocks[at].from;
    if (from.empty()) {
      if (undefined_ == kNoValue)
        undefined_ = function_.add({.kind = NodeKind::kUndefined, .block = 0});
      value = undefined_;
    } else if (from.size() == 1 && is_filled_[from[0]]) {
      at = from[0];
    } else {
      value = new_phi(at, variable);
    }
  }
  // Remembered on the way down, so that long chains are walked once.
  for (BlockId step = block; definition(step, variable) == kNoValue;
       step = function_.blocks[step].from[0]) {
    definition(step, variable) = value;
    if (step == at) break;
  }
  return value;
}

void SsaBuilder::finish() {
  for (size_t i = 0; i < unfinished_.size(); ++i) {  // grows while it is walked
    const Unfinished item = unfinished_[i];
    const BlockId block = function_.node(item.phi).block;
    std::vector<ValueId> incoming;
    for (const BlockId from : function_.blocks[block].from)
      incoming.push_back(read(from, item.variable));
    function_.node(item.phi).incoming = std::move(incoming);
  }
}

}  // namespace tiara::nic::cc
