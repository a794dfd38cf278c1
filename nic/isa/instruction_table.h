// THE instruction table. Opcode numbers, mnemonics, operand formats, cost classes and the words of the manual
// are written here and nowhere else: the assembler, the disassembler, the verifier, the engines and the tables
// of docs/nic/isa.md are derived from it or tested against it.
//
// One instruction is one 64-bit word:
//   [7:0] opcode  [11:8] rd  [15:12] rs1  [19:16] rs2  [23:20] rs3  [27:24] region  [31:28] flags  [63:32] imm
// Fields that an instruction does not use must be zero, so that they can get a meaning later.
#pragma once

// X(Name, mnemonic, opcode, Format, CostClass, bytes of one access (0: none, or in a register), semantics, example)
// clang-format off
#define TIARA_INSTRUCTIONS(X) \
  /* control: 0x01 */                                                                              \
  X(Ret, "ret", 0x01, Ret, Control, 0,                                                             \
    "wait for all bulk operations; end with status ok and r0 to r(imm-1) as results", "ret 2")     \
  X(Fail, "fail", 0x02, Fail, Control, 0,                                                          \
    "wait; end with status failed and reason imm", "fail 7")                                       \
  X(Wait, "wait", 0x03, None, Wait, 0,                                                             \
    "every earlier bulk operation of this invocation is complete and visible", "wait")             \
  X(Loop, "loop", 0x04, Loop, Loop, 0,                                                             \
    "fault LoopBound if rs1 > bound; rd = 0; run the body rs1 times (skip it when 0)",             \
    "loop r5, r6, 64 {")                                                                           \
  X(EndLoop, "endloop", 0x05, None, Loop, 0,                                                       \
    "index += 1; rd of the LOOP = index; repeat the body while index < trip count", "}")           \
  X(Jump, "j", 0x06, Jump, Branch, 0,                                                              \
    "pop flags loop frames; pc += displacement", "j done")                                         \
  /* moves: 0x08 */                                                                                \
  X(Li, "li", 0x08, RdImm, Alu, 0,                                                                 \
    "rd = sext(imm)", "li r3, -1")                                                                 \
  X(Lih, "lih", 0x09, RdImmMerge, Alu, 0,                                                          \
    "rd = (rd & 0xffffffff) | imm << 32", "lih r3, 0x1234")                                        \
  X(Mov, "mov", 0x0a, RdRs, Alu, 0,                                                                \
    "rd = rs1", "mov r4, r0")                                                                      \
  X(Popcnt, "popcnt", 0x0b, RdRs, Alu, 0,                                                          \
    "rd = number of one bits of rs1", "popcnt r4, r0")                                             \
  X(Ctz, "ctz", 0x0c, RdRs, Alu, 0,                                                                \
    "rd = number of trailing zero bits of rs1; 64 for 0", "ctz r4, r0")                            \
  X(Clz, "clz", 0x0d, RdRs, Alu, 0,                                                                \
    "rd = number of leading zero bits of rs1; 64 for 0", "clz r4, r0")                             \
  X(Sel, "sel", 0x0e, Select, Alu, 0,                                                              \
    "rd = rs1 != 0 ? rs2 : rs3", "sel r4, r0, r1, r2")                                             \
  X(Plen, "plen", 0x0f, Rd, Alu, 0,                                                                \
    "rd = number of payload bytes", "plen r4")                                                     \
  X(Bfx, "bfx", 0x10, BitField, Alu, 0,                                                            \
    "rd = zext(rs1[lsb + width - 1 : lsb])", "bfx r4, r0, 9, 9")                                   \
  X(Bfxs, "bfxs", 0x11, BitField, Alu, 0,                                                          \
    "rd = sext(rs1[lsb + width - 1 : lsb])", "bfxs r4, r0, 0, 32")                                 \
  /* arithmetic on two registers: 0x20 */                                                          \
  X(Add, "add", 0x20, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 + rs2", "add r4, r0, r1")                                                            \
  X(Sub, "sub", 0x21, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 - rs2", "sub r4, r0, r1")                                                            \
  X(Mul, "mul", 0x22, RdRsRs, Mul, 0,                                                              \
    "rd = low 64 bits of rs1 * rs2", "mul r4, r0, r1")                                             \
  X(Divu, "divu", 0x23, RdRsRs, Div, 0,                                                            \
    "rd = rs1 / rs2 unsigned; all ones when rs2 = 0", "divu r4, r0, r1")                           \
  X(Remu, "remu", 0x24, RdRsRs, Div, 0,                                                            \
    "rd = rs1 mod rs2 unsigned; rs1 when rs2 = 0", "remu r4, r0, r1")                              \
  X(And, "and", 0x25, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 & rs2", "and r4, r0, r1")                                                            \
  X(Or, "or", 0x26, RdRsRs, Alu, 0,                                                                \
    "rd = rs1 | rs2", "or r4, r0, r1")                                                             \
  X(Xor, "xor", 0x27, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 ^ rs2", "xor r4, r0, r1")                                                            \
  X(Shl, "shl", 0x28, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 << (rs2 mod 64)", "shl r4, r0, r1")                                                  \
  X(Shr, "shr", 0x29, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 >> (rs2 mod 64), zeros enter", "shr r4, r0, r1")                                     \
  X(Sar, "sar", 0x2a, RdRsRs, Alu, 0,                                                              \
    "rd = rs1 >> (rs2 mod 64), the sign enters", "sar r4, r0, r1")                                 \
  X(Min, "min", 0x2b, RdRsRs, Alu, 0,                                                              \
    "rd = unsigned minimum of rs1 and rs2", "min r4, r0, r1")                                      \
  X(Max, "max", 0x2c, RdRsRs, Alu, 0,                                                              \
    "rd = unsigned maximum of rs1 and rs2", "max r4, r0, r1")                                      \
  X(Mins, "mins", 0x2d, RdRsRs, Alu, 0,                                                            \
    "rd = signed minimum of rs1 and rs2", "mins r4, r0, r1")                                       \
  X(Maxs, "maxs", 0x2e, RdRsRs, Alu, 0,                                                            \
    "rd = signed maximum of rs1 and rs2", "maxs r4, r0, r1")                                       \
  X(Seteq, "seteq", 0x2f, RdRsRs, Alu, 0,                                                          \
    "rd = rs1 == rs2", "seteq r4, r0, r1")                                                         \
  X(Setne, "setne", 0x30, RdRsRs, Alu, 0,                                                          \
    "rd = rs1 != rs2", "setne r4, r0, r1")                                                         \
  X(Setltu, "setltu", 0x31, RdRsRs, Alu, 0,                                                        \
    "rd = rs1 < rs2 unsigned", "setltu r4, r0, r1")                                                \
  X(Setleu, "setleu", 0x32, RdRsRs, Alu, 0,                                                        \
    "rd = rs1 <= rs2 unsigned", "setleu r4, r0, r1")                                               \
  X(Setlts, "setlts", 0x33, RdRsRs, Alu, 0,                                                        \
    "rd = rs1 < rs2 signed", "setlts r4, r0, r1")                                                  \
  X(Setles, "setles", 0x34, RdRsRs, Alu, 0,                                                        \
    "rd = rs1 <= rs2 signed", "setles r4, r0, r1")                                                 \
  /* arithmetic with an immediate: the register form's opcode + 0x20 */                            \
  X(Addi, "addi", 0x40, RdRsImm, Alu, 0,                                                           \
    "rd = rs1 + sext(imm)", "addi r4, r0, 5")                                                      \
  X(Subi, "subi", 0x41, RdRsImm, Alu, 0,                                                           \
    "rd = rs1 - sext(imm)", "subi r4, r0, 5")                                                      \
  X(Muli, "muli", 0x42, RdRsImm, Mul, 0,                                                           \
    "rd = low 64 bits of rs1 * sext(imm)", "muli r4, r0, 5")                                       \
  X(Divui, "divui", 0x43, RdRsImm, Div, 0,                                                         \
    "rd = rs1 / sext(imm) unsigned; all ones when sext(imm) = 0", "divui r4, r0, 5")               \
  X(Remui, "remui", 0x44, RdRsImm, Div, 0,                                                         \
    "rd = rs1 mod sext(imm) unsigned; rs1 when sext(imm) = 0", "remui r4, r0, 5")                  \
  X(Andi, "andi", 0x45, RdRsImm, Alu, 0,                                                           \
    "rd = rs1 & sext(imm)", "andi r4, r0, 5")                                                      \
  X(Ori, "ori", 0x46, RdRsImm, Alu, 0,                                                             \
    "rd = rs1 | sext(imm)", "ori r4, r0, 5")                                                       \
  X(Xori, "xori", 0x47, RdRsImm, Alu, 0,                                                           \
    "rd = rs1 ^ sext(imm)", "xori r4, r0, 5")                                                      \
  X(Shli, "shli", 0x48, RdRsShift, Alu, 0,                                                         \
    "rd = rs1 << imm", "shli r4, r0, 5")                                                           \
  X(Shri, "shri", 0x49, RdRsShift, Alu, 0,                                                         \
    "rd = rs1 >> imm, zeros enter", "shri r4, r0, 5")                                              \
  X(Sari, "sari", 0x4a, RdRsShift, Alu, 0,                                                         \
    "rd = rs1 >> imm, the sign enters", "sari r4, r0, 5")                                          \
  X(Mini, "mini", 0x4b, RdRsImm, Alu, 0,                                                           \
    "rd = unsigned minimum of rs1 and sext(imm)", "mini r4, r0, 5")                                \
  X(Maxi, "maxi", 0x4c, RdRsImm, Alu, 0,                                                           \
    "rd = unsigned maximum of rs1 and sext(imm)", "maxi r4, r0, 5")                                \
  X(Minsi, "minsi", 0x4d, RdRsImm, Alu, 0,                                                         \
    "rd = signed minimum of rs1 and sext(imm)", "minsi r4, r0, 5")                                 \
  X(Maxsi, "maxsi", 0x4e, RdRsImm, Alu, 0,                                                         \
    "rd = signed maximum of rs1 and sext(imm)", "maxsi r4, r0, 5")                                 \
  X(Seteqi, "seteqi", 0x4f, RdRsImm, Alu, 0,                                                       \
    "rd = rs1 == sext(imm)", "seteqi r4, r0, 5")                                                   \
  X(Setnei, "setnei", 0x50, RdRsImm, Alu, 0,                                                       \
    "rd = rs1 != sext(imm)", "setnei r4, r0, 5")                                                   \
  X(Setltui, "setltui", 0x51, RdRsImm, Alu, 0,                                                     \
    "rd = rs1 < sext(imm) unsigned", "setltui r4, r0, 5")                                          \
  X(Setleui, "setleui", 0x52, RdRsImm, Alu, 0,                                                     \
    "rd = rs1 <= sext(imm) unsigned", "setleui r4, r0, 5")                                         \
  X(Setltsi, "setltsi", 0x53, RdRsImm, Alu, 0,                                                     \
    "rd = rs1 < sext(imm) signed", "setltsi r4, r0, 5")                                            \
  X(Setlesi, "setlesi", 0x54, RdRsImm, Alu, 0,                                                     \
    "rd = rs1 <= sext(imm) signed", "setlesi r4, r0, 5")                                           \
  /* branches on two registers: 0x60 */                                                            \
  X(Beq, "beq", 0x60, Branch, Branch, 0,                                                           \
    "if rs1 == rs2: pop flags loop frames; pc += displacement", "beq r0, r1, done")                \
  X(Bne, "bne", 0x61, Branch, Branch, 0,                                                           \
    "if rs1 != rs2: pop flags loop frames; pc += displacement", "bne r0, r1, done")                \
  X(Bltu, "bltu", 0x62, Branch, Branch, 0,                                                         \
    "if rs1 < rs2 unsigned: pop flags loop frames; pc += displacement", "bltu r0, r1, done")       \
  X(Bgeu, "bgeu", 0x63, Branch, Branch, 0,                                                         \
    "if rs1 >= rs2 unsigned: pop flags loop frames; pc += displacement", "bgeu r0, r1, done")      \
  X(Blts, "blts", 0x64, Branch, Branch, 0,                                                         \
    "if rs1 < rs2 signed: pop flags loop frames; pc += displacement", "blts r0, r1, done")         \
  X(Bges, "bges", 0x65, Branch, Branch, 0,                                                         \
    "if rs1 >= rs2 signed: pop flags loop frames; pc += displacement", "bges r0, r1, done")        \
  X(Bset, "bset", 0x66, Branch, Branch, 0,                                                         \
    "if bit (rs2 mod 64) of rs1 is 1: pop flags loop frames; pc += displacement",                  \
    "bset r0, r1, done")                                                                           \
  X(Bclr, "bclr", 0x67, Branch, Branch, 0,                                                         \
    "if bit (rs2 mod 64) of rs1 is 0: pop flags loop frames; pc += displacement",                  \
    "bclr r0, r1, done")                                                                           \
  /* branches with an immediate: the register form's opcode + 8 */                                 \
  X(Beqi, "beqi", 0x68, BranchImm, Branch, 0,                                                      \
    "if rs1 == sext(imm): pop flags loop frames; pc += displacement", "beqi r0, 5, done")          \
  X(Bnei, "bnei", 0x69, BranchImm, Branch, 0,                                                      \
    "if rs1 != sext(imm): pop flags loop frames; pc += displacement", "bnei r0, 5, done")          \
  X(Bltui, "bltui", 0x6a, BranchImm, Branch, 0,                                                    \
    "if rs1 < sext(imm) unsigned: pop flags loop frames; pc += displacement",                      \
    "bltui r0, 5, done")                                                                           \
  X(Bgeui, "bgeui", 0x6b, BranchImm, Branch, 0,                                                    \
    "if rs1 >= sext(imm) unsigned: pop flags loop frames; pc += displacement",                     \
    "bgeui r0, 5, done")                                                                           \
  X(Bltsi, "bltsi", 0x6c, BranchImm, Branch, 0,                                                    \
    "if rs1 < sext(imm) signed: pop flags loop frames; pc += displacement", "bltsi r0, 5, done")   \
  X(Bgesi, "bgesi", 0x6d, BranchImm, Branch, 0,                                                    \
    "if rs1 >= sext(imm) signed: pop flags loop frames; pc += displacement",                       \
    "bgesi r0, 5, done")                                                                           \
  X(Bseti, "bseti", 0x6e, BranchBit, Branch, 0,                                                    \
    "if bit imm of rs1 is 1: pop flags loop frames; pc += displacement", "bseti r0, 5, done")      \
  X(Bclri, "bclri", 0x6f, BranchBit, Branch, 0,                                                    \
    "if bit imm of rs1 is 0: pop flags loop frames; pc += displacement", "bclri r0, 5, done")      \
  /* region loads and stores: 0x80 */                                                              \
  X(Ld1, "ld1", 0x80, Load, Load, 1,                                                               \
    "rd = zext(1 bytes at region[rs1 + imm])", "ld1 r4, pool[r1 + 8]")                             \
  X(Ld2, "ld2", 0x81, Load, Load, 2,                                                               \
    "rd = zext(2 bytes at region[rs1 + imm])", "ld2 r4, pool[r1 + 8]")                             \
  X(Ld4, "ld4", 0x82, Load, Load, 4,                                                               \
    "rd = zext(4 bytes at region[rs1 + imm])", "ld4 r4, pool[r1 + 8]")                             \
  X(Ld8, "ld8", 0x83, Load, Load, 8,                                                               \
    "rd = zext(8 bytes at region[rs1 + imm])", "ld8 r4, pool[r1 + 8]")                             \
  X(Lds1, "lds1", 0x84, Load, Load, 1,                                                             \
    "rd = sext(1 bytes at region[rs1 + imm])", "lds1 r4, pool[r1 + 8]")                            \
  X(Lds2, "lds2", 0x85, Load, Load, 2,                                                             \
    "rd = sext(2 bytes at region[rs1 + imm])", "lds2 r4, pool[r1 + 8]")                            \
  X(Lds4, "lds4", 0x86, Load, Load, 4,                                                             \
    "rd = sext(4 bytes at region[rs1 + imm])", "lds4 r4, pool[r1 + 8]")                            \
  X(LdLine, "ldline", 0x87, Line, Line, 64,                                                        \
    "scratchpad[pad, pad + 64) = the 64-byte line at region[rs1 + displacement]",                  \
    "ldline [64], pool[r1]")                                                                       \
  X(Ld1x, "ld1x", 0x88, LoadIndexed, Load, 1,                                                      \
    "rd = zext(1 bytes at region[rs1 + (bits(rs2, lsb, width) << scale)])",                        \
    "ld1x r4, pool[r1 + r2.bits(9,9) << 3]")                                                       \
  X(Ld2x, "ld2x", 0x89, LoadIndexed, Load, 2,                                                      \
    "rd = zext(2 bytes at region[rs1 + (bits(rs2, lsb, width) << scale)])",                        \
    "ld2x r4, pool[r1 + r2.bits(9,9) << 3]")                                                       \
  X(Ld4x, "ld4x", 0x8a, LoadIndexed, Load, 4,                                                      \
    "rd = zext(4 bytes at region[rs1 + (bits(rs2, lsb, width) << scale)])",                        \
    "ld4x r4, pool[r1 + r2.bits(9,9) << 3]")                                                       \
  X(Ld8x, "ld8x", 0x8b, LoadIndexed, Load, 8,                                                      \
    "rd = zext(8 bytes at region[rs1 + (bits(rs2, lsb, width) << scale)])",                        \
    "ld8x r4, pool[r1 + r2.bits(9,9) << 3]")                                                       \
  X(St1, "st1", 0x8c, Store, Store, 1,                                                             \
    "1 bytes at region[rs1 + imm] = low bytes of rs2", "st1 pool[r1 + 8], r4")                     \
  X(St2, "st2", 0x8d, Store, Store, 2,                                                             \
    "2 bytes at region[rs1 + imm] = low bytes of rs2", "st2 pool[r1 + 8], r4")                     \
  X(St4, "st4", 0x8e, Store, Store, 4,                                                             \
    "4 bytes at region[rs1 + imm] = low bytes of rs2", "st4 pool[r1 + 8], r4")                     \
  X(St8, "st8", 0x8f, Store, Store, 8,                                                             \
    "8 bytes at region[rs1 + imm] = low bytes of rs2", "st8 pool[r1 + 8], r4")                     \
  /* scratchpad: 0x90 */                                                                           \
  X(SpLd1, "spld1", 0x90, PadLoad, Scratchpad, 1,                                                  \
    "rd = zext(1 bytes at scratchpad[rs1 + imm])", "spld1 r4, [r1 + 8]")                           \
  X(SpLd2, "spld2", 0x91, PadLoad, Scratchpad, 2,                                                  \
    "rd = zext(2 bytes at scratchpad[rs1 + imm])", "spld2 r4, [r1 + 8]")                           \
  X(SpLd4, "spld4", 0x92, PadLoad, Scratchpad, 4,                                                  \
    "rd = zext(4 bytes at scratchpad[rs1 + imm])", "spld4 r4, [r1 + 8]")                           \
  X(SpLd8, "spld8", 0x93, PadLoad, Scratchpad, 8,                                                  \
    "rd = zext(8 bytes at scratchpad[rs1 + imm])", "spld8 r4, [r1 + 8]")                           \
  X(SpSt1, "spst1", 0x94, PadStore, Scratchpad, 1,                                                 \
    "1 bytes at scratchpad[rs1 + imm] = low bytes of rs2", "spst1 [r1 + 8], r4")                   \
  X(SpSt2, "spst2", 0x95, PadStore, Scratchpad, 2,                                                 \
    "2 bytes at scratchpad[rs1 + imm] = low bytes of rs2", "spst2 [r1 + 8], r4")                   \
  X(SpSt4, "spst4", 0x96, PadStore, Scratchpad, 4,                                                 \
    "4 bytes at scratchpad[rs1 + imm] = low bytes of rs2", "spst4 [r1 + 8], r4")                   \
  X(SpSt8, "spst8", 0x97, PadStore, Scratchpad, 8,                                                 \
    "8 bytes at scratchpad[rs1 + imm] = low bytes of rs2", "spst8 [r1 + 8], r4")                   \
  /* payload and reply, one word: 0x98 */                                                          \
  X(PlLd8, "plld8", 0x98, PayloadLoad, Scratchpad, 8,                                              \
    "rd = 8 bytes at payload[rs1 + imm]", "plld8 r4, [r1 + 8]")                                    \
  X(Emit, "emit", 0x99, Emit, Scratchpad, 8,                                                       \
    "append the 8 bytes of rs1 to the reply", "emit r4")                                           \
  X(Prefetch, "prefetch", 0x9a, Prefetch, Hint, 0,                                                 \
    "hint: the line at region[rs1 + imm] is wanted soon; never faults", "prefetch pool[r1]")       \
  /* atomics on 8 aligned bytes: 0xa0 */                                                           \
  X(Cas, "cas", 0xa0, Cas, Atomic, 8,                                                              \
    "rd = old value at region[rs1 + imm]; if old == rs2 the new value is rs3",                     \
    "cas r4, pool[r1 + 8], r2, r3")                                                                \
  X(Faa, "faa", 0xa1, Atomic, Atomic, 8,                                                           \
    "rd = old value at region[rs1 + imm]; the new value is old + rs2",                             \
    "faa r4, pool[r1 + 8], r2")                                                                    \
  X(Swp, "swp", 0xa2, Atomic, Atomic, 8,                                                           \
    "rd = old value at region[rs1 + imm]; the new value is rs2", "swp r4, pool[r1 + 8], r2")       \
  /* bulk operations, asynchronous, ordered by wait: 0xa8 */                                       \
  X(Gather, "gather", 0xa8, Gather, Bulk, 0,                                                       \
    "append rs2 bytes at region[rs1 + imm] to the reply", "gather pool[r1 + 64], r2")              \
  X(GatherS, "gathers", 0xa9, GatherStrided, Bulk, 0,                                              \
    "append rs3 elements of imm bytes at region[rs1 + i * rs2] to the reply",                      \
    "gathers pool[r1], r2, r3, 128")                                                               \
  X(GatherL, "gatherl", 0xaa, GatherList, Bulk, 0,                                                 \
    "append rs3 elements of imm bytes at region[rs1 + list[i]]; list = 8-byte "                    \
    "offsets at scratchpad[rs2]",                                                                  \
    "gatherl pool[r1], [r2], r3, 128")                                                             \
  X(Scatter, "scatter", 0xab, Scatter, Bulk, 0,                                                    \
    "rs3 bytes at region[rs1 + imm] = payload[rs2, rs2 + rs3)", "scatter pool[r1 + 64], r2, r3")   \
  X(ScatterS, "scatters", 0xac, ScatterStrided, Bulk, 0,                                           \
    "element i of imm bytes of payload[rd...] goes to region[rs1 + i * rs2], i < rs3",             \
    "scatters pool[r1], r4, r2, r3, 128")                                                          \
  X(ScatterL, "scatterl", 0xad, ScatterList, Bulk, 0,                                              \
    "element i of imm bytes of payload[rd...] goes to region[rs1 + list[i]], i < "                 \
    "rs3; list at scratchpad[rs2]",                                                                \
    "scatterl pool[r1], r4, [r2], r3, 128")                                                        \
  X(Fill, "fill", 0xae, Fill, Bulk, 0,                                                             \
    "rs2 bytes at region[rs1 + imm] = low byte of rs3", "fill pool[r1 + 64], r2, r3")              \
  X(Copy, "copy", 0xaf, Copy, Bulk, 0,                                                             \
    "rs3 bytes at region[rs1] = region flags[rs2]; the two ranges may overlap (as memmove)",       \
    "copy pool[r1], pool[r2], r3")                                                                 \
  /* remote regions, the host in a register: 0xb0 */                                               \
  X(RLd8, "rld8", 0xb0, RemoteLoad, Remote, 8,                                                     \
    "rd = 8 aligned bytes at host rs2's region[rs1 + imm]", "rld8 r4, peer@r2[r1 + 8]")            \
  X(RSt8, "rst8", 0xb1, RemoteStore, Remote, 8,                                                    \
    "8 aligned bytes at host rs2's region[rs1 + imm] = rs3", "rst8 peer@r2[r1 + 8], r3")           \
  X(RCas, "rcas", 0xb2, RemoteCas, Remote, 8,                                                      \
    "expected = rd; rd = old value at host rs2's region[rs1 + imm]; if old == "                    \
    "expected the new value is rs3",                                                               \
    "rcas r4, peer@r2[r1 + 8], r3")                                                                \
  X(RFaa, "rfaa", 0xb3, RemoteAtomic, Remote, 8,                                                   \
    "rd = old value at host rs2's region[rs1 + imm]; the new value is old + rs3",                  \
    "rfaa r4, peer@r2[r1 + 8], r3")                                                                \
  X(RSwp, "rswp", 0xb4, RemoteAtomic, Remote, 8,                                                   \
    "rd = old value at host rs2's region[rs1 + imm]; the new value is rs3",                        \
    "rswp r4, peer@r2[r1 + 8], r3")                                                                \
  X(RGather, "rgather", 0xb5, RemoteGather, Remote, 0,                                             \
    "append rs3 bytes at host rs2's region[rs1 + imm] to the reply",                               \
    "rgather peer@r2[r1 + 8], r3")
// clang-format on
