#include "nic/cc/allocate.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace tiara::nic::cc {
namespace {

// The interference graph is a matrix of bits: 8 MiB at this size.
constexpr uint32_t kMaxRegisters = 8192;
// Every spill gives registers that live for one instruction: a program that does not fit by then
// never will.
constexpr int kMaxSpillRounds = 64;
// How often a loop's body is taken to run, and with it how seldom a way out of a loop is taken.
constexpr double kLoopTrips = 16;

// How often each block runs, estimated: branches go either way alike, but rarely leave a loop.
std::vector<double> frequencies(const MachineFunction& function) {
  std::vector<double> frequency(function.blocks.size());
  const Dominators dominators = dominators_of(function.successors());
  if (!frequency.empty()) frequency[0] = 1;
  for (const BlockId from : dominators.order) {
    const MachineEnd& end = function.blocks[from].end;
    const uint32_t depth = function.depth_of(from);
    double share[2] = {1, 0};
    if (end.kind == EndKind::kLoop) {
      frequency[from] *= kLoopTrips;
      share[1] = 1 / kLoopTrips;
    } else if (end.kind == EndKind::kBranch) {
      const bool leaves[2] = {function.depth_of(end.to[0]) < depth,
                              function.depth_of(end.to[1]) < depth};
      share[0] = leaves[0] == leaves[1] ? 0.5 : leaves[0] ? 1 / kLoopTrips : 1 - 1 / kLoopTrips;
      share[1] = 1 - share[0];
    }
    for (uint32_t i = 0; i < end.ways(); ++i)
      if (dominators.position[end.to[i]] > dominators.position[from])
        frequency[end.to[i]] += frequency[from] * share[i];
  }
  return frequency;
}

enum class Coalescing : uint8_t { kAll, kSafe };

class Allocator {
 public:
  Allocator(MachineFunction& function, Coalescing coalescing, const std::vector<bool>& is_temporary)
      : function_(function),
        coalescing_(coalescing),
        is_temporary_(is_temporary),
        rows_(interference(function)),
        frequency_(frequencies(function)) {
    parent_.resize(function.registers);
    for (Register reg = 0; reg < function.registers; ++reg) parent_[reg] = reg;
  }

  // Nothing: every register has its colour. Otherwise the registers to spill.
  std::vector<Register> run() {
    find_moves();
    coalesce();
    count_uses();
    return color();
  }

  // Writes the colours into the function.
  void rewrite() {
    const auto replace = [this](Register& reg) {
      if (reg != kNoRegister) reg = color_[root(reg)];
    };
    for (MachineBlock& block : function_.blocks) {
      for (MachineInstruction& instruction : block.body) {
        for (Register& reg : instruction.in) replace(reg);
        replace(instruction.rd);
      }
      std::erase_if(block.body, [](const MachineInstruction& i) {
        return !i.is_constant && i.opcode == Opcode::kMov && i.rd == i.in[kRs1];
      });
      for (Copy& copy : block.copies) {
        replace(copy.to);
        replace(copy.from);
      }
      std::erase_if(block.copies, [](const Copy& copy) { return copy.to == copy.from; });
      replace(block.end.a);
      replace(block.end.b);
      replace(block.end.index);
    }
    function_.registers = kRegisters;
  }

 private:
  struct Move {
    Register a, b;
    double weight;
  };

  Register root(Register reg) {
    while (parent_[reg] != reg) reg = parent_[reg] = parent_[parent_[reg]];
    return reg;
  }

  void find_moves() {
    for (BlockId id = 0; id < function_.blocks.size(); ++id) {
      const MachineBlock& block = function_.blocks[id];
      for (const MachineInstruction& instruction : block.body)
        if (!instruction.is_constant && instruction.opcode == Opcode::kMov)
          moves_.push_back({instruction.rd, instruction.in[kRs1], frequency_[id]});
      for (const Copy& copy : block.copies)
        if (copy.from != kNoRegister) moves_.push_back({copy.to, copy.from, frequency_[id]});
    }
    merge_equal_moves();
    std::stable_sort(moves_.begin(), moves_.end(),
                     [](const Move& a, const Move& b) { return a.weight > b.weight; });
  }

  void merge_equal_moves() {
    std::map<std::pair<Register, Register>, double> weights;
    for (const Move& move : moves_) weights[std::minmax(move.a, move.b)] += move.weight;
    moves_.clear();
    for (const auto& [pair, weight] : weights) moves_.push_back({pair.first, pair.second, weight});
  }

  // The neighbours of a class, as classes.
  std::vector<Register> neighbours(Register reg) {
    BitSet classes(function_.registers);
    rows_[reg].for_each([&](Register other) { classes.set(root(other)); });
    std::vector<Register> list;
    classes.for_each([&](Register other) { list.push_back(other); });
    return list;
  }

  // Briggs: the merged class has fewer than 16 neighbours that are hard to colour themselves.
  bool is_safe_to_merge(Register a, Register b) {
    BitSet both = rows_[a];
    both.merge(rows_[b]);
    BitSet classes(function_.registers);
    both.for_each([&](Register other) { classes.set(root(other)); });
    uint32_t hard = 0;
    classes.for_each([&](Register other) {
      if (other < kRegisters || neighbours(other).size() >= kRegisters) ++hard;
    });
    return hard < kRegisters;
  }

  void coalesce() {
    for (const Move& move : moves_) {
      Register a = root(move.a), b = root(move.b);
      if (a == b || rows_[a].test(b) || rows_[b].test(a)) continue;
      if (a > b) std::swap(a, b);
      if (b < kRegisters) continue;  // two real registers
      if (coalescing_ == Coalescing::kSafe && !is_safe_to_merge(a, b)) continue;
      parent_[b] = a;
      rows_[a].merge(rows_[b]);
      // Rows stay symmetric between roots: whoever interferes with b interferes with a.
      rows_[b].for_each([&](Register other) {
        rows_[root(other)].set(a);
        rows_[other].set(a);
      });
    }
  }

  void count_uses() {
    cost_.assign(function_.registers, 0);
    for (BlockId id = 0; id < function_.blocks.size(); ++id) {
      const MachineBlock& block = function_.blocks[id];
      const auto count = [&](Register reg) {
        if (reg != kNoRegister) cost_[root(reg)] += frequency_[id];
      };
      for (const MachineInstruction& instruction : block.body) {
        for (const Register reg : instruction.in) count(reg);
        count(instruction.rd);
      }
      for (const Copy& copy : block.copies) count(copy.to), count(copy.from);
      count(block.end.a), count(block.end.b), count(block.end.index);
    }
    for (Register reg = 0; reg < function_.registers; ++reg)
      if (reg < is_temporary_.size() && is_temporary_[reg])
        cost_[root(reg)] = std::numeric_limits<double>::infinity();
  }

  std::vector<Register> color() {
    std::vector<std::vector<Register>> graph(function_.registers);
    std::vector<uint32_t> degree(function_.registers);
    std::vector<Register> waiting;
    for (Register reg = 0; reg < function_.registers; ++reg) {
      if (root(reg) != reg) continue;
      graph[reg] = neighbours(reg);
      degree[reg] = static_cast<uint32_t>(graph[reg].size());
      if (reg >= kRegisters) waiting.push_back(reg);
    }
    std::vector<Register> stack;
    while (!waiting.empty()) {
      auto best = std::find_if(waiting.begin(), waiting.end(),
                               [&](Register reg) { return degree[reg] < kRegisters; });
      if (best == waiting.end())
        best = std::min_element(waiting.begin(), waiting.end(), [&](Register a, Register b) {
          return cost_[a] / (degree[a] + 1) < cost_[b] / (degree[b] + 1);
        });
      const Register reg = *best;
      waiting.erase(best);
      stack.push_back(reg);
      for (const Register other : graph[reg]) --degree[other];
    }
    color_.assign(function_.registers, kNoRegister);
    for (Register reg = 0; reg < kRegisters; ++reg) color_[reg] = reg;
    std::vector<Register> spilled;
    for (auto reg = stack.rbegin(); reg != stack.rend(); ++reg) {
      const auto free = free_color(*reg, graph[*reg]);
      if (free)
        color_[*reg] = *free;
      else
        spilled.push_back(*reg);
    }
    return members_of(spilled);
  }

  // A colour that no neighbour has; that of a copy's other side, if it can be.
  std::optional<Register> free_color(Register reg, const std::vector<Register>& around) {
    uint32_t taken = 0;
    for (const Register other : around)
      if (color_[other] != kNoRegister) taken |= 1u << color_[other];
    if (taken == (1u << kRegisters) - 1) return std::nullopt;
    for (const Move& move : moves_) {
      const Register a = root(move.a), b = root(move.b);
      const Register other = a == reg ? b : b == reg ? a : kNoRegister;
      if (other == kNoRegister || color_[other] == kNoRegister) continue;
      if ((taken >> color_[other] & 1) == 0) return color_[other];
    }
    return static_cast<Register>(std::countr_one(taken));
  }

  std::vector<Register> members_of(const std::vector<Register>& classes) {
    std::vector<Register> members;
    for (Register reg = kRegisters; reg < function_.registers; ++reg)
      if (std::find(classes.begin(), classes.end(), root(reg)) != classes.end())
        members.push_back(reg);
    return members;
  }

  MachineFunction& function_;
  Coalescing coalescing_;
  const std::vector<bool>& is_temporary_;
  std::vector<BitSet> rows_;
  std::vector<double> frequency_;  // of blocks
  std::vector<Register> parent_;
  std::vector<Move> moves_;
  std::vector<double> cost_;
  std::vector<Register> color_;
};

// Sends registers to the scratchpad: a load before each use, a store behind each definition.
class Spiller {
 public:
  Spiller(MachineFunction& function, std::vector<bool>& is_temporary)
      : function_(function), is_temporary_(is_temporary) {}

  bool run(const std::vector<Register>& registers) {
    slot_.assign(function_.registers, -1);
    uint32_t at = (function_.scratchpad_bytes + 7) / 8 * 8;
    for (const Register reg : registers) {
      slot_[reg] = static_cast<int32_t>(at);
      at += 8;
    }
    if (at > kMaxScratchpadBytes) return false;
    function_.scratchpad_bytes = at;
    for (MachineBlock& block : function_.blocks) rewrite(block);
    for (MachineBlock& block : function_.blocks) store_index(block.end);
    return true;
  }

 private:
  bool is_spilled(Register reg) const {
    return reg != kNoRegister && reg < slot_.size() && slot_[reg] >= 0;
  }
  Register temporary() {
    is_temporary_.resize(function_.registers + 1);
    is_temporary_[function_.registers] = true;
    return function_.registers++;
  }
  Register load(Register reg, const Place& place) {
    const Register made = temporary();
    out_.push_back(
        {.opcode = Opcode::kSpLd8, .rd = made, .flags = 1, .imm = slot_[reg], .place = place});
    return made;
  }
  MachineInstruction store(Register reg, Register value, const Place& place) const {
    return {.opcode = Opcode::kSpSt8,
            .in = {kNoRegister, value, kNoRegister, kNoRegister},
            .flags = 1,
            .imm = slot_[reg],
            .place = place};
  }

  void rewrite(MachineBlock& block) {
    out_.clear();
    for (MachineInstruction instruction : block.body) {
      for (Register& reg : instruction.in)
        if (is_spilled(reg) && reg != instruction.rd) reg = load(reg, instruction.place);
      std::optional<MachineInstruction> after;
      if (is_spilled(instruction.rd)) {
        const Register made = temporary();
        // An instruction that reads what it writes got the old value by a copy just before: load it
        // here.
        for (Register& reg : instruction.in) {
          if (reg != instruction.rd) continue;
          out_.push_back({.opcode = Opcode::kSpLd8,
                          .rd = made,
                          .flags = 1,
                          .imm = slot_[reg],
                          .place = instruction.place});
          reg = made;
        }
        after = store(instruction.rd, made, instruction.place);
        instruction.rd = made;
      }
      out_.push_back(instruction);
      if (after) out_.push_back(*after);
    }
    // Copies to and from the scratchpad leave the group: a load comes before it. A store has no
    // place behind it in front of the end, so it comes first too, which is right as long as no
    // other copy of the group reads that slot: those loads stand even further in front.
    std::vector<MachineInstruction> stores;
    for (Copy& copy : block.copies) {
      if (is_spilled(copy.from)) copy.from = load(copy.from, copy.place);
    }
    std::erase_if(block.copies, [&](const Copy& copy) {
      if (!is_spilled(copy.to)) return false;
      Register value = copy.from;
      if (value == kNoRegister) {
        value = temporary();
        stores.push_back(
            {.is_constant = true, .rd = value, .imm = copy.constant, .place = copy.place});
      }
      stores.push_back(store(copy.to, value, copy.place));
      return true;
    });
    // The end reads its operands behind the copies, but a copy never writes what the end of its own
    // block reads, except a spilled one, which is loaded here behind the stores.
    out_.insert(out_.end(), stores.begin(), stores.end());
    for (Register* reg : {&block.end.a, &block.end.b})
      if (is_spilled(*reg)) *reg = load(*reg, block.end.place);
    block.body = out_;
  }

  // LOOP and ENDLOOP write the index; nobody looks at it but the body, which begins with the store.
  void store_index(MachineEnd& head) {
    if (!is_spilled(head.index)) return;
    const Register made = temporary();
    auto& body = function_.blocks[head.to[0]].body;
    body.insert(body.begin(), store(head.index, made, head.place));
    head.index = made;
  }

  MachineFunction& function_;
  std::vector<bool>& is_temporary_;
  std::vector<int32_t> slot_;
  std::vector<MachineInstruction> out_;
};

bool is_too_large(const MachineFunction& function) {
  return function.registers > kMaxRegisters;
}

}  // namespace

Result<MachineFunction> allocate(const Function& function) {
  constexpr const char* kTooLarge =
      "the operator needs more registers and scratchpad than there are; make it smaller";
  const std::vector<bool> none;
  for (const Coalescing coalescing : {Coalescing::kAll, Coalescing::kSafe}) {
    MachineFunction machine = lower(function, ConstantPlacement::kHoisted);
    if (is_too_large(machine)) return fail(ErrorCode::kRejected, kTooLarge);
    Allocator allocator(machine, coalescing, none);
    if (!allocator.run().empty()) continue;
    allocator.rewrite();
    return machine;
  }
  MachineFunction machine = lower(function, ConstantPlacement::kLocal);
  std::vector<bool> is_temporary;
  for (int round = 0; round < kMaxSpillRounds && !is_too_large(machine); ++round) {
    Allocator allocator(machine, Coalescing::kSafe, is_temporary);
    const std::vector<Register> spilled = allocator.run();
    if (spilled.empty()) {
      allocator.rewrite();
      return machine;
    }
    if (!Spiller(machine, is_temporary).run(spilled)) break;
  }
  return fail(ErrorCode::kRejected, kTooLarge);
}

}  // namespace tiara::nic::cc
