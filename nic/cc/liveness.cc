#include <algorithm>

#include "nic/cc/allocate.h"

namespace tiara::nic::cc {
namespace {

// Walks a block from its end to its start. `define(register, copied_from)` is called with `live`
// being what is live behind the definition.
template <typename Define>
void walk_back(const MachineFunction& function, BlockId id, BitSet& live, Define define) {
  const MachineBlock& block = function.blocks[id];
  const MachineEnd& end = block.end;
  const auto use = [&](Register reg) {
    if (reg != kNoRegister) live.set(reg);
  };
  if (end.index != kNoRegister) {
    define(end.index, kNoRegister);
    live.reset(end.index);
  }
  use(end.a);
  use(end.b);
  for (Register reg = 0; reg < end.results; ++reg) live.set(reg);
  // All at once: each target against what is live behind them, then the sources.
  for (const Copy& copy : block.copies)
    live.set(copy.to);  // also when nobody reads it: it is written
  for (const Copy& copy : block.copies) {
    // A source that is a target itself ends up with another value than its copy.
    const bool is_overwritten =
        std::any_of(block.copies.begin(), block.copies.end(),
                    [&](const Copy& other) { return other.to == copy.from; });
    define(copy.to, is_overwritten ? kNoRegister : copy.from);
  }
  for (const Copy& copy : block.copies) live.reset(copy.to);
  for (const Copy& copy : block.copies) use(copy.from);
  for (auto instruction = block.body.rbegin(); instruction != block.body.rend(); ++instruction) {
    if (instruction->rd != kNoRegister) {
      const bool is_copy = !instruction->is_constant && instruction->opcode == Opcode::kMov;
      define(instruction->rd, is_copy ? instruction->in[kRs1] : kNoRegister);
      live.reset(instruction->rd);
    }
    for (const Register reg : instruction->in) use(reg);
  }
}

BitSet live_out(const MachineFunction& function, BlockId block, const std::vector<BitSet>& in) {
  BitSet live(function.registers);
  for (uint32_t i = 0; i < function.blocks[block].end.ways(); ++i)
    live.merge(in[function.blocks[block].end.to[i]]);
  return live;
}

}  // namespace

std::vector<BitSet> live_in(const MachineFunction& function) {
  std::vector<BitSet> in(function.blocks.size(), BitSet(function.registers));
  const Dominators order = dominators_of(function.successors());
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (auto block = order.order.rbegin(); block != order.order.rend(); ++block) {
      BitSet live = live_out(function, *block, in);
      walk_back(function, *block, live, [](Register, Register) {});
      has_changed |= in[*block].merge(live);
    }
  }
  return in;
}

std::vector<BitSet> interference(const MachineFunction& function) {
  std::vector<BitSet> rows(function.registers, BitSet(function.registers));
  const std::vector<BitSet> in = live_in(function);
  const auto connect = [&](Register a, Register b) {
    if (a == b) return;
    rows[a].set(b);
    rows[b].set(a);
  };
  for (BlockId block = 0; block < function.blocks.size(); ++block) {
    BitSet live = live_out(function, block, in);
    walk_back(function, block, live, [&](Register defined, Register from) {
      live.for_each([&](Register other) {
        if (other != from) connect(defined, other);
      });
    });
  }
  for (Register a = 0; a < kRegisters; ++a)
    for (Register b = 0; b < a; ++b) connect(a, b);
  // LOOP reads the trip count and writes the index: kept apart, so that the count can still be
  // looked at inside.
  for (const Loop& loop : function.loops) {
    const Register trips = function.blocks[loop.entry].end.a,
                   index = function.blocks[loop.head].end.index;
    if (function.blocks[loop.head].end.kind == EndKind::kLoop && trips != kNoRegister)
      connect(trips, index);
  }
  return rows;
}

}  // namespace tiara::nic::cc
