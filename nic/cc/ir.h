// The compiler's middle form: blocks of nodes, each node one value in static single assignment,
// close to the instructions of Tiara but without registers.
//
// Loops have one shape from the start:
//
//   entry ---> head ---> body ... latch ---> head     entry and latch end in a jump to the head
//               |
//               +------> exit                         the head holds phis only and ends in kLoop
//
// so that `entry` is where LOOP stands and `latch` where ENDLOOP does.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "nic/cc/graph.h"
#include "nic/cc/line_table.h"
#include "nic/isa/instruction.h"

namespace tiara::nic::cc {

using ValueId = uint32_t;
inline constexpr ValueId kNoValue = UINT32_MAX;

enum class NodeKind : uint8_t {
  kConstant,     // imm
  kUndefined,    // any value will do
  kParameter,    // argument number imm
  kFrame,        // scratchpad offset that stands for the BPF frame pointer
  kPhi,          // `incoming`, in the order of the block's predecessors
  kIndex,        // of the loop whose head the block is; all ones on the way to its exit
  kLoopBegin,    // in[0] trips, in[1] bound, in[2] number of the loop
  kInstruction,  // `opcode`
};

enum Operand : uint32_t { kRs1 = 0, kRs2 = 1, kRs3 = 2, kRd = 3 };

struct Node {
  NodeKind kind = NodeKind::kInstruction;
  Opcode opcode = Opcode::kRet;
  std::array<ValueId, 4> in{kNoValue, kNoValue, kNoValue, kNoValue};  // by Operand
  std::vector<ValueId> incoming{};
  uint8_t region = 0;
  uint8_t source_region = 0;
  bool is_absolute = false;  // the address is imm alone
  int64_t imm = 0;
  BlockId block = kNoBlock;
  Place place{};

  bool is(Opcode which) const { return kind == NodeKind::kInstruction && opcode == which; }
  bool is_constant() const { return kind == NodeKind::kConstant; }
  bool has_result() const;  // false: only an effect
  bool has_effect() const;  // must stay even when nobody uses the result
};

enum class EndKind : uint8_t { kJump, kBranch, kLoop, kReturn, kFail };

struct End {
  EndKind kind = EndKind::kFail;
  Opcode condition =
      Opcode::kJump;     // kBranch: one of beq bne bltu bgeu blts bges bset bclr on a and b
  ValueId a = kNoValue;  // kBranch; kLoop: trips
  ValueId b = kNoValue;
  std::array<BlockId, 2> to{kNoBlock,
                            kNoBlock};  // kJump: [0]; kBranch: taken, not taken; kLoop: body, exit
  ValueId index = kNoValue;             // kLoop
  uint32_t bound = 0;                   // kLoop
  std::vector<ValueId> results{};       // kReturn
  uint32_t reason = 0;                  // kFail
  Place place{};

  uint32_t ways() const {
    return kind == EndKind::kJump ? 1 : kind == EndKind::kBranch || kind == EndKind::kLoop ? 2 : 0;
  }
};

struct Block {
  std::vector<ValueId> phis{};
  std::vector<ValueId> body{};
  End end{};
  std::vector<BlockId> from{};  // predecessors, each edge once
  uint32_t loop = UINT32_MAX;   // innermost loop; kNoLoop outside of all
  bool is_reachable = true;
};

inline constexpr uint32_t kNoLoop = UINT32_MAX;

struct Loop {
  BlockId entry = kNoBlock;
  BlockId head = kNoBlock;
  BlockId latch = kNoBlock;
  uint32_t parent = kNoLoop;
  uint32_t depth = 1;
};

struct Function {
  std::vector<Node> nodes;
  std::vector<Block> blocks;  // block 0 is the entry and has no predecessor
  std::vector<Loop> loops;    // outer before inner
  uint32_t scratchpad_bytes = 0;

  Node& node(ValueId id) { return nodes[id]; }
  const Node& node(ValueId id) const { return nodes[id]; }
  ValueId add(Node node) {
    nodes.push_back(std::move(node));
    return static_cast<ValueId>(nodes.size() - 1);
  }
  ValueId constant(int64_t value) { return add({.kind = NodeKind::kConstant, .imm = value}); }
  uint32_t depth_of(BlockId block) const {
    return blocks[block].loop == kNoLoop ? 0 : loops[blocks[block].loop].depth;
  }
  Successors successors() const;
};

// Follows replacements to their end: forward[v] == v for a value that stands for itself.
ValueId resolve(std::vector<ValueId>& forward, ValueId value);
// Rewrites all uses through `forward`.
void apply(Function& function, std::vector<ValueId>& forward);
// Takes the edge from `from` out of a block and its phis.
void remove_predecessor(Function& function, BlockId block, BlockId from);
// Removes phis that have one value, values that nobody uses, and blocks that nobody reaches.
void clean_up(Function& function);

}  // namespace tiara::nic::cc
