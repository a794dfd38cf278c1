// One instruction, decoded: what every consumer of a program looks at.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "nic/isa/opcode.h"

namespace tiara::nic {

inline constexpr uint32_t kRegisters = 16;
inline constexpr uint32_t kMaxLoopDepth = 4;         // hardware keeps this many loop frames per context
inline constexpr uint32_t kMaxInstructions = 4096;   // 32 KiB of program store; a body length has 12 bits
inline constexpr uint32_t kMaxLoopBound = (1u << 20) - 1;
inline constexpr uint32_t kMaxScratchpadBytes = 4096;
inline constexpr uint32_t kMaxElementBytes = 1u << 20;
inline constexpr uint32_t kLineBytes = 64;
static_assert(kMaxInstructions <= 0xffff, "displacements have 16 bits in some branches");

struct Instruction {
  Opcode opcode = Opcode::kRet;
  uint8_t rd = 0;
  uint8_t rs1 = 0;
  uint8_t rs2 = 0;
  uint8_t rs3 = 0;
  uint8_t region = 0;
  uint8_t flags = 0;
  int32_t imm = 0;

  friend bool operator==(const Instruction&, const Instruction&) = default;

  // --- views of `imm` and `flags`; each is meaningful for the ImmediateUse or FlagUse it names ---

  constexpr uint32_t bits() const { return static_cast<uint32_t>(imm); }
  constexpr uint64_t value() const { return static_cast<uint64_t>(int64_t{imm}); }  // sign-extended
  // kBits, kIndex
  constexpr uint32_t lsb() const { return bits() & 63; }
  constexpr uint32_t width() const { return bits() >> 8 & 63; }
  constexpr uint32_t scale() const { return bits() >> 16 & 7; }
  constexpr uint64_t width_mask() const { return (uint64_t{1} << width()) - 1; }
  // kDisplacement, kCompareBranch, kBitBranch; relative to this instruction. A displacement fits 16 bits even
  // where it has the whole immediate, so one expression serves all three.
  constexpr uint32_t displacement() const { return bits() & 0xffff; }
  constexpr int16_t compare_value() const { return static_cast<int16_t>(bits() >> 16); }
  constexpr uint32_t bit_number() const { return bits() >> 16; }
  constexpr uint32_t pops() const { return flags; }
  // kLoop
  constexpr uint32_t loop_bound() const { return bits() & kMaxLoopBound; }
  constexpr uint32_t body_length() const { return bits() >> 20; }
  // kLine
  constexpr uint32_t pad_offset() const { return bits() & 0xffff; }
  constexpr int16_t line_displacement() const { return static_cast<int16_t>(bits() >> 16); }
  // FlagUse::kRegion
  constexpr uint8_t source_region() const { return flags; }
};

// Immediates of the packed kinds.
constexpr int32_t pack_bits(uint32_t lsb, uint32_t width, uint32_t scale = 0) {
  return static_cast<int32_t>(lsb | width << 8 | scale << 16);
}
constexpr int32_t pack_branch(uint32_t displacement, int32_t compare_value_or_bit) {
  return static_cast<int32_t>((displacement & 0xffff) | static_cast<uint32_t>(compare_value_or_bit) << 16);
}
constexpr int32_t pack_loop(uint32_t bound, uint32_t body_length) {
  return static_cast<int32_t>(bound | body_length << 20);
}
constexpr int32_t pack_line(uint32_t pad_offset, int32_t displacement) {
  return static_cast<int32_t>((pad_offset & 0xffff) | static_cast<uint32_t>(displacement) << 16);
}

// True when the address has no base register: the immediate alone is the offset.
bool is_absolute(const Instruction& instruction);
bool is_branch(const Instruction& instruction);  // j and all conditional branches
// Sets of registers, bit i for r(i). RET reads r0 to r(imm-1).
uint16_t registers_read(const Instruction& instruction);
uint16_t registers_written(const Instruction& instruction);

enum class DecodeError : uint8_t {
  kUnknownOpcode,
  kReservedField,   // a field that this instruction does not use is not zero
  kBadFlags,
  kBadImmediate,
};
std::string_view to_string(DecodeError error);

// Total: every word is either an instruction or an error, and encode(*decode(word)) == word.
std::expected<Instruction, DecodeError> decode(uint64_t word);
// The word of any Instruction, valid or not; fields wider than their bits are a bug.
uint64_t encode(const Instruction& instruction);

}  // namespace tiara::nic
