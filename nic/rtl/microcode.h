// The microcode of the engine core: one row of control bits for every opcode, and rows that continue the longer
// ones. The core's package and its ROM are printed from this, so that opcodes, row numbers and the meaning of each
// control bit are written down once.
#pragma once

#include <array>
#include <cstdint>
#include <ostream>

namespace tiara::nic::rtl {

// Enumerations that the SystemVerilog package shares: X(prefix, bits, list). An enumerator is k<prefix><name> here and
// <prefix><name> there.
#define TIARA_UOP_ENUMS(X) \
  X(Unit, 2, TIARA_UOP_UNIT) \
  X(B, 2, TIARA_UOP_B) \
  X(Sh, 4, TIARA_UOP_SH) \
  X(Alu, 3, TIARA_UOP_ALU) \
  X(Cond, 3, TIARA_UOP_COND) \
  X(Dst, 2, TIARA_UOP_DST) \
  X(Pc, 3, TIARA_UOP_PC) \
  X(Ent, 3, TIARA_UOP_ENT) \
  X(Perm, 3, TIARA_UOP_PERM) \
  X(Len, 3, TIARA_UOP_LEN) \
  X(Ser, 3, TIARA_UOP_SER) \
  X(In, 2, TIARA_UOP_IN) \
  X(Op, 5, TIARA_UOP_OP)

#define TIARA_UOP_UNIT(E) \
  E(Unit, Alu) E(Unit, Memory) E(Unit, End) E(Unit, Serial)
#define TIARA_UOP_B(E) \
  E(B, RegA) E(B, RegB) E(B, Imm) E(B, Const)
#define TIARA_UOP_SH(E) \
  E(Sh, None) E(Sh, Left) E(Sh, Right) E(Sh, Arith) E(Sh, Field) E(Sh, FieldS) E(Sh, Index) E(Sh, Bit) \
  E(Sh, High16) E(Sh, Low16) E(Sh, Low20) E(Sh, Low32) E(Sh, Up32) E(Sh, Down32) E(Sh, Up20) \
  E(Sh, Up3)
#define TIARA_UOP_ALU(E) \
  E(Alu, Add) E(Alu, Sub) E(Alu, And) E(Alu, Or) E(Alu, Xor) E(Alu, Inc)
#define TIARA_UOP_COND(E) \
  E(Cond, Always) E(Cond, Zero) E(Cond, Ltu) E(Cond, Lts) E(Cond, Leu) E(Cond, Les) E(Cond, Frame) \
  E(Cond, Bulk)
#define TIARA_UOP_DST(E) \
  E(Dst, None) E(Dst, Rd) E(Dst, Temp) E(Dst, Frame)
#define TIARA_UOP_PC(E) \
  E(Pc, Hold) E(Pc, Next) E(Pc, Branch) E(Pc, Loop) E(Pc, EndLoop)
#define TIARA_UOP_ENT(E) \
  E(Ent, Region) E(Ent, Source) E(Ent, Unused2) E(Ent, Unused3) E(Ent, Pad) E(Ent, Payload) \
  E(Ent, Reply) E(Ent, None)
#define TIARA_UOP_PERM(E) \
  E(Perm, None) E(Perm, Read) E(Perm, Write) E(Perm, Unused3) E(Perm, Atomic) E(Perm, Unused5) \
  E(Perm, Unused6) E(Perm, Bulk)
#define TIARA_UOP_LEN(E) \
  E(Len, 1) E(Len, 2) E(Len, 4) E(Len, 8) E(Len, Operand) E(Len, Imm) E(Len, Line)
#define TIARA_UOP_SER(E) \
  E(Ser, Mul) E(Ser, Divu) E(Ser, Remu) E(Ser, Popcnt) E(Ser, Ctz) E(Ser, Clz)
#define TIARA_UOP_IN(E) \
  E(In, Answer) E(In, Fill) E(In, Argument) E(In, Start)
#define TIARA_UOP_OP(E) \
  E(Op, Check) E(Op, Load) E(Op, Store) E(Op, Line) E(Op, Cas) E(Op, Faa) E(Op, Swp) E(Op, Emit) \
  E(Op, Element) E(Op, Gather) E(Op, Scatter) E(Op, Fill) E(Op, CopyFrom) E(Op, CopyTo) E(Op, PadLoad) \
  E(Op, PadStore) E(Op, PayloadLoad) E(Op, Fence) E(Op, RemoteArgument) E(Op, RemoteLoad) \
  E(Op, RemoteStore) E(Op, RemoteCas) E(Op, RemoteFaa) E(Op, RemoteSwp) E(Op, RemoteGather) \
  E(Op, Unused25) E(Op, Unused26) E(Op, Unused27) E(Op, EndOk) E(Op, EndFailed) E(Op, EndFault)

#define TIARA_UOP_ENUMERATOR(prefix, name) k##prefix##name,
#define TIARA_UOP_ENUM(prefix, bits, list) enum prefix##Code : uint8_t { list(TIARA_UOP_ENUMERATOR) };
TIARA_UOP_ENUMS(TIARA_UOP_ENUM)
#undef TIARA_UOP_ENUM
#undef TIARA_UOP_ENUMERATOR

// Where a register number comes from: a field of the word, r0 to r3, or one of the context's 16 temporaries.
enum Sel : uint8_t { kRs1 = 0, kRs2, kRs3, kRd, kFrame, kFrameNext, kR0 = 8, kR1, kR2, kR3, kTemp = 16 };

// Temporaries. 0 to 4 are loop frames: {rd, first of body, trip count, index}; the fifth is only ever scratch.
enum Temp : uint8_t {
  kReplyPosition = 5,   // bytes of the reply so far; the dispatcher starts it at 0
  kPayloadBytes = 6,    // written by the dispatcher
  kScratch = 7,
  kOffset = 8,          // bulk: offset of the element
  kCount = 9,           // bulk: elements that are left
  kList = 10,           // bulk: where the next offset stands in the scratchpad
  kListed = 11,         // bulk: that offset
  kPosition = 12,       // bulk: position in the reply or the payload
};

// The register that a temporary is, among the context's 32.
constexpr uint8_t temp(Temp number) { return static_cast<uint8_t>(uint8_t{kTemp} + uint8_t{number}); }

// X(field, bits): the control word, most significant first.
#define TIARA_UOP_FIELDS(X)                                                                      \
  X(is_instruction, 1)  /* an instruction begins with this row */                                \
  X(unit, 2)                                                                                     \
  X(is_absolute, 1)     /* flag bit 0 of the word: operand a is zero */                          \
  X(is_a_zero, 1)                                                                                \
  X(is_choice, 1)       /* a when the context's flag is set, else b; the other is zero */        \
  X(is_frame, 1)        /* a is what a new loop frame holds besides the trip count */            \
  X(b, 2)               /* operand b */                                                          \
  X(shift, 4)           /* what the shifter does with b */                                       \
  X(amount, 2)          /* by: register b, imm[5:0], imm[21:16] */                               \
  X(alu, 3)                                                                                      \
  X(condition, 3)                                                                                \
  X(is_inverted, 1)                                                                              \
  X(dst, 2)                                                                                      \
  X(temp, 4)            /* number of the temporary; frame: 0 next, 1 top, 2 its rd; end: result */ \
  X(is_flag_result, 1)  /* the result is the condition, or 0 */                                  \
  X(sets_flag, 1)                                                                                \
  X(sets_operand, 1)    /* the result also becomes the request's third operand */                \
  X(pc, 3)                                                                                       \
  X(next, 8)            /* row that follows, when the pc is held */                              \
  X(is_fork, 1)         /* its lowest bit is the condition */                                    \
  X(sel_a, 5)           /* registers of the row that follows */                                  \
  X(sel_b, 5)                                                                                    \
  X(kind, 3)            /* entry that a request is checked against */                            \
  X(op, 5)              /* request, or job of the serial unit */                                 \
  X(is_bounded, 1)                                                                               \
  X(is_signed, 1)       /* a load extends the sign */                                            \
  X(permission, 3)      /* these three are the constant 8 bits wide of rows that compute, */     \
  X(align, 2)           /* and permission and align[1] are the fault of rows that end */         \
  X(length, 3)

struct Uop {
#define TIARA_UOP_MEMBER(name, bits) uint8_t name = 0;
  TIARA_UOP_FIELDS(TIARA_UOP_MEMBER)
#undef TIARA_UOP_MEMBER
};

inline constexpr uint32_t kUopBits = 0
#define TIARA_UOP_SUM(name, bits) +bits
    TIARA_UOP_FIELDS(TIARA_UOP_SUM);
#undef TIARA_UOP_SUM
static_assert(kUopBits <= 72, "the ROM is one block RAM 72 bits wide");

struct Microcode {
  std::array<Uop, 256> rows{};
  std::array<bool, 256> is_used{};
  uint8_t fault = 0;    // ends with the fault of the last answer
  uint8_t illegal = 0;
  uint8_t spent = 0;    // the step budget
};

Microcode assemble_microcode();

void print_package(const Microcode& code, std::ostream& out);
void print_rom(const Microcode& code, std::ostream& out);

}  // namespace tiara::nic::rtl
