// How operands are written, piece by piece. The pieces come from the operand text of the format table, so that
// the assembler, the disassembler and the manual cannot disagree.
#pragma once

#include <cstdint>
#include <vector>

#include "nic/isa/opcode.h"

namespace tiara::nic::assembly {

enum class PieceKind : uint8_t {
  kSymbol,        // one character: , [ ] @
  kRd, kRs1, kRs2, kRs3,
  kRegion,        // a name; the region field
  kSourceRegion,  // a name; the flags field
  kAddress,       // rs1 + imm, rs1, or imm alone (absolute)
  kLineAddress,   // rs1 + displacement
  kIndexField,    // rs2.bits(lsb,width) << scale, behind rs1 +
  kImmediate,
  kLsb, kWidth,
  kCompareValue, kBit,
  kLabel,
  kPadOffset,
};

struct Piece {
  PieceKind kind;
  char symbol = 0;
};

// Loops have a syntax of their own and no pieces.
const std::vector<Piece>& pieces_of(Format format);

}  // namespace tiara::nic::assembly
