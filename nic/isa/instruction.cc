#include "nic/isa/instruction.h"

#include "runtime/base/check.h"

namespace tiara::nic {
namespace {

constexpr uint8_t kAbsoluteFlag = 1;

const FormatInfo& format_of(const Instruction& instruction) { return info(info(instruction.opcode).format); }

constexpr uint16_t bit(uint8_t reg) { return static_cast<uint16_t>(1u << reg); }

bool are_flags_valid(const Instruction& instruction, FlagUse use) {
  switch (use) {
    case FlagUse::kNone: return instruction.flags == 0;
    case FlagUse::kAbsolute:
      return instruction.flags == 0 || (instruction.flags == kAbsoluteFlag && instruction.rs1 == 0);
    case FlagUse::kPops: return instruction.flags <= kMaxLoopDepth;
    case FlagUse::kRegion: return true;
  }
  return false;
}

bool is_displacement(uint32_t value) { return value >= 1 && value <= kMaxInstructions; }

bool is_immediate_valid(const Instruction& instruction, ImmediateUse use) {
  const uint32_t bits = instruction.bits();
  const bool is_field = instruction.width() >= 1 && instruction.lsb() + instruction.width() <= 64;
  switch (use) {
    case ImmediateUse::kNone: return bits == 0;
    case ImmediateUse::kSigned: return true;
    case ImmediateUse::kShift: return bits < 64;
    case ImmediateUse::kBits: return is_field && (bits & ~0x3f3fu) == 0;
    case ImmediateUse::kIndex: return is_field && (bits & ~0x73f3fu) == 0;
    case ImmediateUse::kOffset: return !is_absolute(instruction) || instruction.imm >= 0;
    case ImmediateUse::kPadOffset: return !is_absolute(instruction) || bits < kMaxScratchpadBytes;
    case ImmediateUse::kDisplacement: return is_displacement(bits);
    case ImmediateUse::kCompareBranch: return is_displacement(bits & 0xffff);
    case ImmediateUse::kBitBranch: return is_displacement(bits & 0xffff) && instruction.bit_number() < 64;
    case ImmediateUse::kLoop: return instruction.loop_bound() >= 1;
    case ImmediateUse::kLine:
      return instruction.pad_offset() % kLineBytes == 0 && instruction.pad_offset() < kMaxScratchpadBytes;
    case ImmediateUse::kElement: return bits >= 1 && bits <= kMaxElementBytes;
    case ImmediateUse::kResults: return bits <= 4;
    case ImmediateUse::kReason: return bits <= 0xffff;
  }
  return false;
}

}  // namespace

bool is_absolute(const Instruction& instruction) {
  return format_of(instruction).flags == FlagUse::kAbsolute && (instruction.flags & kAbsoluteFlag) != 0;
}

bool is_branch(const Instruction& instruction) { return format_of(instruction).flags == FlagUse::kPops; }

uint16_t registers_read(const Instruction& instruction) {
  if (instruction.opcode == Opcode::kRet) return static_cast<uint16_t>((1u << (instruction.bits() & 7)) - 1);
  const FormatInfo& format = format_of(instruction);
  uint16_t set = 0;
  if (format.reads_rs1 && !is_absolute(instruction)) set |= bit(instruction.rs1);
  if (format.reads_rs2) set |= bit(instruction.rs2);
  if (format.reads_rs3) set |= bit(instruction.rs3);
  if (format.reads_rd) set |= bit(instruction.rd);
  return set;
}

uint16_t registers_written(const Instruction& instruction) {
  return format_of(instruction).writes_rd ? bit(instruction.rd) : uint16_t{0};
}

std::string_view to_string(DecodeError error) {
  switch (error) {
    case DecodeError::kUnknownOpcode: return "unknown opcode";
    case DecodeError::kReservedField: return "a field that the instruction does not use is not zero";
    case DecodeError::kBadFlags: return "flags out of range";
    case DecodeError::kBadImmediate: return "immediate out of range";
  }
  return "";
}

std::expected<Instruction, DecodeError> decode(uint64_t word) {
  const InstructionInfo* row = find_instruction(static_cast<uint8_t>(word));
  if (row == nullptr) return std::unexpected(DecodeError::kUnknownOpcode);
  const auto nibble = [word](int at) { return static_cast<uint8_t>(word >> at & 15); };
  const Instruction instruction{.opcode = row->opcode,
                                .rd = nibble(8),
                                .rs1 = nibble(12),
                                .rs2 = nibble(16),
                                .rs3 = nibble(20),
                                .region = nibble(24),
                                .flags = nibble(28),
                                .imm = static_cast<int32_t>(word >> 32)};
  const FormatInfo& format = info(row->format);
  const bool is_reserved_set = (!format.uses_rd() && instruction.rd != 0) ||
                               (!format.reads_rs1 && instruction.rs1 != 0) ||
                               (!format.reads_rs2 && instruction.rs2 != 0) ||
                               (!format.reads_rs3 && instruction.rs3 != 0) ||
                               (!format.has_region && instruction.region != 0);
  if (is_reserved_set) return std::unexpected(DecodeError::kReservedField);
  if (!are_flags_valid(instruction, format.flags)) return std::unexpected(DecodeError::kBadFlags);
  if (!is_immediate_valid(instruction, format.immediate)) return std::unexpected(DecodeError::kBadImmediate);
  return instruction;
}

uint64_t encode(const Instruction& instruction) {
  TIARA_DCHECK((instruction.rd | instruction.rs1 | instruction.rs2 | instruction.rs3) < 16);
  TIARA_DCHECK((instruction.region | instruction.flags) < 16);
  const auto field = [](uint8_t value, int at) { return uint64_t{value & 15u} << at; };
  return static_cast<uint64_t>(instruction.opcode) | field(instruction.rd, 8) | field(instruction.rs1, 12) |
         field(instruction.rs2, 16) | field(instruction.rs3, 20) | field(instruction.region, 24) |
         field(instruction.flags, 28) | uint64_t{instruction.bits()} << 32;
}

}  // namespace tiara::nic
