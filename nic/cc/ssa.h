// Variables to values in static single assignment (Braun et al., "Simple and Efficient Construction
// of Static Single Assignment Form").
#pragma once

#include <cstdint>
#include <vector>

#include "nic/cc/ir.h"

namespace tiara::nic::cc {

// Blocks are filled in reverse postorder. A read in a block with a predecessor that is not filled
// yet (the head of a loop) gives a phi whose operands finish() reads.
class SsaBuilder {
 public:
  SsaBuilder(Function& function, uint32_t variables);

  void write(BlockId block, uint32_t variable, ValueId value);
  ValueId read(BlockId block, uint32_t variable);
  void mark_filled(BlockId block) { is_filled_[block] = true; }
  // Every block is filled: completes the phis.
  void finish();

 private:
  struct Unfinished {
    ValueId phi;
    uint32_t variable;
  };
  ValueId new_phi(BlockId block, uint32_t variable);
  ValueId& definition(BlockId block, uint32_t variable) {
    return definitions_[size_t{block} * variables_ + variable];
  }

  Function& function_;
  uint32_t variables_;
  std::vector<ValueId> definitions_;
  std::vector<bool> is_filled_;
  std::vector<Unfinished> unfinished_;
  ValueId undefined_ = kNoValue;
};

}  // namespace tiara::nic::cc
