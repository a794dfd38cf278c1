// The dearest way through a program, for any notion of cost: computed on the tree of loops.
//
// Inside one loop's body (inner loops taken as one step each) all edges go forward, so one walk in order
// finds the dearest path to every instruction. A loop that runs at most n rounds costs at most n-1 full
// rounds and then whatever its last round costs up to where it leaves: at the end, by a branch out, by ret,
// or by a fault.
//
// A Cost has: `Cost none()`; `then(a, b)`, a followed by b; `either(a, b)`, an upper bound of both; and
// `up_to(a, n)`, an upper bound of a done 0 to n times over. All saturate. `either` may mix paths: each
// component is bounded on its own.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "nic/isa/program.h"
#include "nic/verifier/facts.h"
#include "nic/verifier/flow.h"

namespace tiara::nic {

template <typename Cost, typename CostOf>
class DearestPath {
 public:
  // `cost_of(pc)` is the cost of running the instruction at pc once (LOOP: of entering or skipping the loop).
  DearestPath(const Program& program, const Flow& flow, std::span<const InstructionFacts> facts,
              CostOf cost_of)
      : program_(program), flow_(flow), facts_(facts), cost_of_(cost_of), reached_(program.code.size() + 1) {}

  // Of a whole run, wherever it ends.
  Cost find() {
    Region all;
    walk(0, static_cast<uint32_t>(program_.code.size()), Cost::none(), all);
    return *all.peak;
  }

 private:
  struct Exit {
    uint32_t target;
    uint32_t pops;
    Cost cost;
  };
  // What a stretch of code can do, seen from its start.
  struct Region {
    std::vector<Exit> exits;   // branches to outside the loop
    std::optional<Cost> full;  // up to and with the ENDLOOP
    std::optional<Cost> peak;  // to any instruction, with it
  };

  static void raise(std::optional<Cost>& to, const Cost& cost) { to = to ? either(*to, cost) : cost; }

  void leave(uint32_t target, uint32_t pops, const Cost& cost, Region& region) {
    if (pops == 0) raise(reached_[target], cost);
    else region.exits.push_back({target, pops, cost});
  }

  // [begin, end) with `before` spent; every instruction is looked at once, so the whole is linear.
  void walk(uint32_t begin, uint32_t end, const Cost& before, Region& region) {
    raise(reached_[begin], before);
    for (uint32_t pc = begin; pc < end; ++pc) {
      const InstructionFacts& facts = facts_[pc];
      const bool is_loop = program_.code[pc].opcode == Opcode::kLoop;
      if (!reached_[pc] || !facts.is_reachable) {
        if (is_loop) pc = flow_.loops()[flow_.loop_at(pc)].end;
        continue;
      }
      const Cost spent = then(*reached_[pc], cost_of_(pc));
      raise(region.peak, spent);
      if (is_loop) {
        pc = walk_loop(pc, spent, region);
        continue;
      }
      if (program_.code[pc].opcode == Opcode::kEndLoop) {
        raise(region.full, spent);  // the loop's own ENDLOOP: the last instruction of this stretch
        continue;
      }
      if (facts.can_branch)
        leave(branch_target(program_.code[pc], pc), program_.code[pc].pops(), spent, region);
      if (facts.can_fall_through) raise(reached_[pc + 1], spent);
    }
  }

  // Returns the loop's ENDLOOP.
  uint32_t walk_loop(uint32_t pc, const Cost& spent, Region& around) {
    const LoopShape& loop = flow_.loops()[flow_.loop_at(pc)];
    if (facts_[pc].can_branch) raise(reached_[loop.end + 1], spent);
    if (!facts_[pc].can_fall_through) return loop.end;
    Region body;
    walk(pc + 1, loop.end + 1, Cost::none(), body);
    const uint64_t rounds = facts_[pc].most_trips;
    const Cost before_last = body.full ? then(spent, up_to(*body.full, rounds - 1)) : spent;
    if (body.full) raise(reached_[loop.end + 1], then(before_last, *body.full));
    if (body.peak) raise(around.peak, then(before_last, *body.peak));
    for (const Exit& exit : body.exits)
      leave(exit.target, exit.pops - 1, then(before_last, exit.cost), around);
    return loop.end;
  }

  const Program& program_;
  const Flow& flow_;
  std::span<const InstructionFacts> facts_;
  CostOf cost_of_;
  std::vector<std::optional<Cost>>
      reached_;  // dearest way to just before the instruction, from its loop's head
};

}  // namespace tiara::nic
