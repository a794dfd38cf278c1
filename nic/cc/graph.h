// Order and dominators of a control-flow graph, given as lists of successors; block 0 is the entry.
#pragma once

#include <cstdint>
#include <vector>

namespace tiara::nic::cc {

using BlockId = uint32_t;
inline constexpr BlockId kNoBlock = UINT32_MAX;
using Successors = std::vector<std::vector<BlockId>>;

struct Dominators {
  std::vector<BlockId> order;      // reachable blocks in reverse postorder
  std::vector<uint32_t> position;  // of each block in `order`; UINT32_MAX: not reachable
  std::vector<BlockId> parent;     // immediate dominator; the entry's is itself

  bool is_reachable(BlockId block) const { return position[block] != UINT32_MAX; }
  bool dominates(BlockId above, BlockId below) const;  // a block dominates itself
  BlockId common(BlockId a, BlockId b) const;          // nearest block that dominates both
};

// Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm".
Dominators dominators_of(const Successors& successors);

}  // namespace tiara::nic::cc
