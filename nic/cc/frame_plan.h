// What becomes of the 512 bytes of BPF stack: values where that is possible, else a piece of the
// scratchpad.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nic/cc/object.h"

namespace tiara::nic::cc {

inline constexpr uint32_t kBpfStackBytes = 512;

// Bytes of the memory operand of a load or store; 0: it is neither, or of a kind that is not
// supported.
uint32_t memory_bytes(const BpfInstruction& instruction);

// Slots that are only ever accessed whole, and whose address nobody takes, are variables like
// registers. Once an address is taken, any slot might be meant by it: then all stay memory.
class FramePlan {
 public:
  explicit FramePlan(const std::vector<BpfInstruction>& code);

  uint32_t variables() const { return static_cast<uint32_t>(slots_.size()); }
  // The variable that an access is to; nullopt: it goes to the scratchpad.
  std::optional<uint32_t> variable_of(const BpfInstruction& instruction) const;
  // Of scratchpad that the frame needs, a multiple of 8.
  uint32_t bytes() const { return bytes_; }

 private:
  struct Slot {
    int32_t offset;
    uint32_t bytes;
    bool is_variable;
  };
  std::vector<Slot> slots_;
  uint32_t bytes_ = 0;
};

}  // namespace tiara::nic::cc
