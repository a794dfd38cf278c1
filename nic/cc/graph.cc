#include "nic/cc/graph.h"

#include <algorithm>
#include <utility>

namespace tiara::nic::cc {
namespace {

// Iterative: the depth of a hostile graph must not be the depth of our stack.
std::vector<BlockId> reverse_postorder(const Successors& successors) {
  std::vector<BlockId> order;
  std::vector<bool> is_seen(successors.size());
  std::vector<std::pair<BlockId, size_t>> stack;
  if (successors.empty()) return order;
  stack.emplace_back(0, 0);
  is_seen[0] = true;
  while (!stack.empty()) {
    auto& [block, next] = stack.back();
    if (next == successors[block].size()) {
      order.push_back(block);
      stack.pop_back();
      continue;
    }
    const BlockId to = successors[block][next++];
    if (is_seen[to]) continue;
    is_seen[to] = true;
    stack.emplace_back(to, 0);
  }
  std::reverse(order.begin(), order.end());
  return order;
}

}  // namespace

BlockId Dominators::common(BlockId a, BlockId b) const {
  while (a != b) {
    while (position[a] > position[b]) a = parent[a];
    while (position[b] > position[a]) b = parent[b];
  }
  return a;
}

bool Dominators::dominates(BlockId above, BlockId below) const {
  while (position[below] > position[above]) below = parent[below];
  return above == below;
}

Dominators dominators_of(const Successors& successors) {
  Dominators result;
  result.order = reverse_postorder(successors);
  result.position.assign(successors.size(), UINT32_MAX);
  result.parent.assign(successors.size(), kNoBlock);
  for (uint32_t i = 0; i < result.order.size(); ++i) result.position[result.order[i]] = i;
  std::vector<std::vector<BlockId>> predecessors(successors.size());
  for (const BlockId block : result.order)
    for (const BlockId to : successors[block]) predecessors[to].push_back(block);
  if (result.order.empty()) return result;

  result.parent[0] = 0;
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (const BlockId block : result.order) {
      if (block == 0) continue;
      BlockId best = kNoBlock;
      for (const BlockId from : predecessors[block]) {
        if (result.parent[from] == kNoBlock) continue;
        best = best == kNoBlock ? from : result.common(from, best);
      }
      if (best != result.parent[block]) {
        result.parent[block] = best;
        has_changed = true;
      }
    }
  }
  return result;
}

}  // namespace tiara::nic::cc
