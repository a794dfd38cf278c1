// The control flow of BPF code, brought into the shape that ir.h describes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "nic/cc/graph.h"
#include "nic/cc/object.h"
#include "runtime/base/error.h"

namespace tiara::nic::cc {

enum class ShapeKind : uint8_t {
  kJump,
  kBranch,    // on the condition of the instruction at `last`
  kEnd,       // `last` is an exit or a call that ends the operator
  kLoopHead,  // to[0]: the body, to[1]: the exit
};

// A straight piece of BPF code, [first, last), and how it ends.
struct ShapeBlock {
  uint32_t first = 0;
  uint32_t last = 0;
  ShapeKind kind = ShapeKind::kJump;
  std::array<BlockId, 2> to{kNoBlock, kNoBlock};  // kBranch: taken, not taken
  bool is_after_loop =
      false;  // the first block on the way out of a loop: there the index is all ones

  uint32_t ways() const { return kind == ShapeKind::kJump ? 1 : kind == ShapeKind::kEnd ? 0 : 2; }
};

struct ShapeLoop {
  BlockId entry = kNoBlock;
  BlockId head = kNoBlock;
  BlockId latch = kNoBlock;  // kNoBlock: the body never comes back
};

struct Shape {
  std::vector<ShapeBlock> blocks;  // block 0 is the entry, and no edge leads to it
  std::vector<ShapeLoop> loops;
};

// Refuses code that jumps outside the function, back edges that are not a TIARA_LOOP's, and loops
// entered from the side; `code` is already known to hold only instructions that BPF has.
Result<Shape> find_shape(const std::vector<BpfInstruction>& code);

// "FILE:LINE:COLUMN: what", as an Error.
std::unexpected<Error> refuse_at(const Place& place, const std::string& what);

}  // namespace tiara::nic::cc
