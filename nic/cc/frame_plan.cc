#include "nic/cc/frame_plan.h"

#include <algorithm>

namespace tiara::nic::cc {
namespace {

bool is_memory_class(const BpfInstruction& instruction) {
  const uint8_t kind = instruction.instruction_class();
  return kind == bpf::kClassLdx || kind == bpf::kClassSt || kind == bpf::kClassStx;
}

uint8_t base_register(const BpfInstruction& instruction) {
  return instruction.instruction_class() == bpf::kClassLdx ? instruction.src : instruction.dst;
}

bool is_frame_access(const BpfInstruction& instruction) {
  return memory_bytes(instruction) != 0 && base_register(instruction) == bpf::kFrameRegister;
}

// Does the frame pointer become a value: copied, added to, stored?
bool takes_frame_address(const BpfInstruction& instruction) {
  const uint8_t kind = instruction.instruction_class();
  if (kind == bpf::kClassStx) return instruction.src == bpf::kFrameRegister;
  if (kind == bpf::kClassAlu || kind == bpf::kClassAlu64 || kind == bpf::kClassJmp ||
      kind == bpf::kClassJmp32)
    return (instruction.opcode & bpf::kRegisterSource) != 0 &&
           instruction.src == bpf::kFrameRegister;
  return false;
}

}  // namespace

uint32_t memory_bytes(const BpfInstruction& instruction) {
  constexpr uint8_t kModeMask = 0xe0, kModeMemory = 0x60, kSizeMask = 0x18;
  if (!is_memory_class(instruction) || (instruction.opcode & kModeMask) != kModeMemory) return 0;
  switch (instruction.opcode & kSizeMask) {
    case 0x00: return 4;
    case 0x08: return 2;
    case 0x10: return 1;
    default: return 8;
  }
}

FramePlan::FramePlan(const std::vector<BpfInstruction>& code) {
  const bool is_address_taken = std::any_of(code.begin(), code.end(), takes_frame_address);
  for (const BpfInstruction& instruction : code) {
    if (!is_frame_access(instruction)) continue;
    const Slot slot{instruction.offset, memory_bytes(instruction), !is_address_taken};
    const auto is_same = [&](const Slot& other) {
      return other.offset == slot.offset && other.bytes == slot.bytes;
    };
    if (std::none_of(slots_.begin(), slots_.end(), is_same)) slots_.push_back(slot);
  }
  const auto overlap = [](const Slot& a, const Slot& b) {
    return a.offset < b.offset + static_cast<int32_t>(b.bytes) &&
           b.offset < a.offset + static_cast<int32_t>(a.bytes);
  };
  if (is_address_taken) bytes_ = kBpfStackBytes;
  for (Slot& a : slots_) {
    for (const Slot& b : slots_)
      if (&a != &b && overlap(a, b)) a.is_variable = false;
    if (!a.is_variable)
      bytes_ = std::max(bytes_, static_cast<uint32_t>(-std::min(a.offset, 0) + 7) / 8 * 8);
  }
}

std::optional<uint32_t> FramePlan::variable_of(const BpfInstruction& instruction) const {
  if (!is_frame_access(instruction)) return std::nullopt;
  const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return slot.offset == instruction.offset && slot.bytes == memory_bytes(instruction);
  });
  if (found == slots_.end() || !found->is_variable) return std::nullopt;
  return static_cast<uint32_t>(found - slots_.begin());
}

}  // namespace tiara::nic::cc
