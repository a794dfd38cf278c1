// Opcodes, operand formats and cost classes: the instruction table (instruction_table.h) as types and data.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "nic/isa/instruction_table.h"

namespace tiara::nic {

enum class Opcode : uint8_t {
#define TIARA_OPCODE(name, mnemonic, code, ...) k##name = code,
  TIARA_INSTRUCTIONS(TIARA_OPCODE)
#undef TIARA_OPCODE
};

// What an instruction costs on a device: the verifier's bounds are counted by class, and a table of device
// constants (nanoseconds per class) turns them into a worst-case time.
enum class CostClass : uint8_t {
  kControl,     // ret, fail
  kWait,        // until the last bulk operation has completed
  kAlu,
  kMul,
  kDiv,
  kBranch,
  kLoop,        // loop, endloop
  kScratchpad,  // on-chip memory: scratchpad, payload and reply buffers
  kHint,
  kLoad,        // one read of region memory
  kStore,
  kLine,        // one 64-byte read
  kAtomic,
  kBulk,        // the start of a bulk operation; its bytes are counted apart
  kRemote,      // one round trip to another node
};
inline constexpr size_t kCostClasses = 15;

// How the four flag bits are used.
enum class FlagUse : uint8_t {
  kNone,
  kAbsolute,  // bit 0: the address has no base register (rs1 must be 0), the immediate is the offset
  kPops,      // number of loop frames that a taken branch leaves, 0 to 4
  kRegion,    // a second region number
};

// How the immediate is used. The limits are checked by decode().
enum class ImmediateUse : uint8_t {
  kNone,
  kSigned,         // 32 bits, sign-extended
  kShift,          // 0 to 63
  kBits,           // [5:0] lsb  [13:8] width 1 to 63; lsb + width <= 64
  kIndex,          // kBits and [18:16] scale
  kOffset,         // 32 bits, sign-extended, added to rs1; >= 0 when absolute
  kPadOffset,      // as kOffset, below kMaxScratchpadBytes when absolute
  kDisplacement,   // instructions forward, 1 to kMaxInstructions
  kCompareBranch,  // [15:0] displacement  [31:16] value compared with, signed
  kBitBranch,      // [15:0] displacement  [31:16] bit number, 0 to 63
  kLoop,           // [19:0] bound on the trip count, from 1  [31:20] instructions in the body
  kLine,           // [15:0] scratchpad offset, multiple of 64  [31:16] region displacement, signed
  kElement,        // bytes of one element, 1 to kMaxElementBytes
  kResults,        // 0 to 4 result registers
  kReason,         // 0 to 65535
};

// X(Name, uses: letters of what is read (s t u = rs1 rs2 rs3, d = rd) and written (D), region?, flags, immediate,
//   operands as the manual writes them)
#define TIARA_FORMATS(X)                                                                   \
  X(None, "", false, kNone, kNone, "")                                                     \
  X(Ret, "", false, kNone, kResults, "results")                                            \
  X(Fail, "", false, kNone, kReason, "reason")                                             \
  X(Loop, "sD", false, kNone, kLoop, "rd, rs1, bound { body }")                            \
  X(Jump, "", false, kPops, kDisplacement, "label")                                        \
  X(Rd, "D", false, kNone, kNone, "rd")                                                    \
  X(RdImm, "D", false, kNone, kSigned, "rd, imm")                                          \
  X(RdImmMerge, "dD", false, kNone, kSigned, "rd, imm")                                    \
  X(RdRs, "sD", false, kNone, kNone, "rd, rs1")                                            \
  X(RdRsRs, "stD", false, kNone, kNone, "rd, rs1, rs2")                                    \
  X(RdRsImm, "sD", false, kNone, kSigned, "rd, rs1, imm")                                  \
  X(RdRsShift, "sD", false, kNone, kShift, "rd, rs1, imm")                                 \
  X(Select, "stuD", false, kNone, kNone, "rd, rs1, rs2, rs3")                              \
  X(BitField, "sD", false, kNone, kBits, "rd, rs1, lsb, width")                            \
  X(Branch, "st", false, kPops, kDisplacement, "rs1, rs2, label")                          \
  X(BranchImm, "s", false, kPops, kCompareBranch, "rs1, imm, label")                       \
  X(BranchBit, "s", false, kPops, kBitBranch, "rs1, bit, label")                           \
  X(Load, "sD", true, kAbsolute, kOffset, "rd, region[rs1 + imm]")                         \
  X(LoadIndexed, "stD", true, kNone, kIndex, "rd, region[rs1 + rs2.bits(lsb,width) << scale]") \
  X(Store, "st", true, kAbsolute, kOffset, "region[rs1 + imm], rs2")                       \
  X(Line, "s", true, kNone, kLine, "[pad], region[rs1 + displacement]")                    \
  X(PadLoad, "sD", false, kAbsolute, kPadOffset, "rd, [rs1 + imm]")                        \
  X(PadStore, "st", false, kAbsolute, kPadOffset, "[rs1 + imm], rs2")                      \
  X(PayloadLoad, "sD", false, kAbsolute, kOffset, "rd, [rs1 + imm]")                       \
  X(Emit, "s", false, kNone, kNone, "rs1")                                                 \
  X(Prefetch, "s", true, kAbsolute, kOffset, "region[rs1 + imm]")                          \
  X(Cas, "stuD", true, kAbsolute, kOffset, "rd, region[rs1 + imm], rs2, rs3")              \
  X(Atomic, "stD", true, kAbsolute, kOffset, "rd, region[rs1 + imm], rs2")                 \
  X(Gather, "st", true, kAbsolute, kOffset, "region[rs1 + imm], rs2")                      \
  X(GatherStrided, "stu", true, kNone, kElement, "region[rs1], rs2, rs3, bytes")           \
  X(GatherList, "stu", true, kNone, kElement, "region[rs1], [rs2], rs3, bytes")            \
  X(Scatter, "stu", true, kAbsolute, kOffset, "region[rs1 + imm], rs2, rs3")               \
  X(ScatterStrided, "stud", true, kNone, kElement, "region[rs1], rd, rs2, rs3, bytes")     \
  X(ScatterList, "stud", true, kNone, kElement, "region[rs1], rd, [rs2], rs3, bytes")      \
  X(Fill, "stu", true, kAbsolute, kOffset, "region[rs1 + imm], rs2, rs3")                  \
  X(Copy, "stu", true, kRegion, kNone, "region[rs1], region[rs2], rs3")                    \
  X(RemoteLoad, "stD", true, kAbsolute, kOffset, "rd, region@rs2[rs1 + imm]")              \
  X(RemoteStore, "stu", true, kAbsolute, kOffset, "region@rs2[rs1 + imm], rs3")            \
  X(RemoteCas, "studD", true, kAbsolute, kOffset, "rd, region@rs2[rs1 + imm], rs3")        \
  X(RemoteAtomic, "stuD", true, kAbsolute, kOffset, "rd, region@rs2[rs1 + imm], rs3")      \
  X(RemoteGather, "stu", true, kAbsolute, kOffset, "region@rs2[rs1 + imm], rs3")

enum class Format : uint8_t {
#define TIARA_FORMAT(name, ...) k##name,
  TIARA_FORMATS(TIARA_FORMAT)
#undef TIARA_FORMAT
};

struct FormatInfo {
  bool reads_rs1, reads_rs2, reads_rs3, reads_rd, writes_rd;
  bool has_region;
  FlagUse flags;
  ImmediateUse immediate;
  std::string_view operands;

  constexpr bool uses_rd() const { return reads_rd || writes_rd; }
};

struct InstructionInfo {
  Opcode opcode;
  std::string_view mnemonic;
  Format format;
  CostClass cost;
  uint8_t access_bytes;  // of one region, scratchpad, payload or reply access; 0: none, or a register says
  std::string_view semantics;
  std::string_view example;
};

// All instructions in ascending order of opcode.
std::span<const InstructionInfo> all_instructions();
// nullptr: no such opcode.
const InstructionInfo* find_instruction(uint8_t opcode);
const InstructionInfo* find_instruction(std::string_view mnemonic);
const InstructionInfo& info(Opcode opcode);
const FormatInfo& info(Format format);
std::string_view to_string(CostClass cost);

}  // namespace tiara::nic
