#include <algorithm>
#include <map>

#include "nic/cc/emit.h"

namespace tiara::nic::cc {
namespace {

// Orders one region at a time: the top level, or the body of a loop, in which an inner loop counts
// as one item.
class Orderer {
 public:
  explicit Orderer(const MachineFunction& function)
      : function_(function), dominators_(dominators_of(function.successors())) {}

  std::vector<BlockId> run() {
    place_region(kNoLoop, 0);
    return std::move(order_);
  }

 private:
  bool is_alive(BlockId block) const {
    return block != kNoBlock && dominators_.is_reachable(block);
  }

  // The item of `region` that a block belongs to: itself, or the head of the loop right inside the
  // region that it is in; kNoBlock: it is outside of the region.
  BlockId item_of(uint32_t region, BlockId block) const {
    uint32_t loop = function_.blocks[block].loop;
    if (loop == region) return block;
    while (loop != kNoLoop && function_.loops[loop].parent != region)
      loop = function_.loops[loop].parent;
    return loop == kNoLoop ? kNoBlock : function_.loops[loop].head;
  }

  struct Item {
    uint32_t waits_for = 0;  // edges from items that are not placed yet
    std::vector<BlockId> to;
  };

  std::map<BlockId, Item> items_of(uint32_t region, BlockId start) const {
    std::map<BlockId, Item> items;
    for (const BlockId block : dominators_.order) {
      const BlockId from = item_of(region, block);
      if (from == kNoBlock) continue;
      Item& item = items[from];
      const MachineEnd& end = function_.blocks[block].end;
      for (uint32_t i = 0; i < end.ways(); ++i) {
        const BlockId to = item_of(region, end.to[i]);
        if (to != kNoBlock && to != from && to != start) item.to.push_back(to);
      }
    }
    for (const auto& [from, item] : items)
      for (const BlockId to : item.to) ++items[to].waits_for;
    return items;
  }

  void place_region(uint32_t region, BlockId start) {
    auto items = items_of(region, start);
    std::vector<BlockId> ready{start};
    while (!ready.empty()) {
      const BlockId next = choose(region, ready);
      std::erase(ready, next);
      const bool is_loop = function_.blocks[next].loop != region;
      if (is_loop)
        place_region(function_.blocks[next].loop, next);
      else
        order_.push_back(next);
      last_ = next;
      for (const BlockId to : items[next].to)
        if (--items[to].waits_for == 0) ready.push_back(to);
    }
  }

  bool is_failure(BlockId block) const {
    const MachineBlock& target = function_.blocks[block];
    return target.body.empty() && target.end.kind == EndKind::kFail;
  }

  // What the last item falls into, when that can be; else what became ready last. A failure is
  // never in a hurry.
  BlockId choose(uint32_t region, const std::vector<BlockId>& ready) const {
    if (last_ != kNoBlock) {
      const MachineEnd& end = function_.blocks[last_].end;
      // A loop goes on at its exit; a branch should fall through to its second way.
      const uint32_t first = end.kind == EndKind::kJump ? 0 : 1;
      const uint32_t order[2] = {first, 1 - first};
      for (const uint32_t way : order) {
        if (way >= end.ways()) continue;
        const BlockId item = item_of(region, end.to[way]);
        if (item != kNoBlock && !is_failure(item) &&
            std::find(ready.begin(), ready.end(), item) != ready.end())
          return item;
      }
    }
    for (auto item = ready.rbegin(); item != ready.rend(); ++item)
      if (!is_failure(*item)) return *item;
    return ready.back();
  }

  const MachineFunction& function_;
  Dominators dominators_;
  std::vector<BlockId> order_;
  BlockId last_ = kNoBlock;
};

}  // namespace

std::vector<BlockId> order_blocks(const MachineFunction& function) {
  return Orderer(function).run();
}

}  // namespace tiara::nic::cc
