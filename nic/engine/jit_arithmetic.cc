#include "nic/engine/jit_compiler.h"

// The switches here are over the opcodes of one cost class; their defaults say what is left.
#pragma GCC diagnostic ignored "-Wswitch-enum"

namespace tiara::nic::jit {

using namespace asmjit;
using namespace asmjit::x86;

namespace {

// The register form of an opcode that has both: the immediate forms stand 0x20 behind.
Opcode register_form(Opcode opcode) {
  const auto code = static_cast<uint8_t>(opcode);
  return code >= static_cast<uint8_t>(Opcode::kAddi) && code <= static_cast<uint8_t>(Opcode::kSetlesi)
             ? Opcode{static_cast<uint8_t>(code - 0x20)}
             : opcode;
}
static_assert(static_cast<uint8_t>(Opcode::kAddi) - static_cast<uint8_t>(Opcode::kAdd) == 0x20);
static_assert(static_cast<uint8_t>(Opcode::kSetlesi) - static_cast<uint8_t>(Opcode::kSetles) == 0x20);

}  // namespace

// rd = rs1 OP b. In rd itself where b is not rd.
void Compiler::in_place(InstId id, const Instruction& i, const Operand& b) {
  const bool is_b_overwritten = frame_->host(i.rd) && b.isReg() && b.as<Gp>() == *frame_->host(i.rd) && i.rd != i.rs1;
  const Gp to = is_b_overwritten ? Gp(rax) : target(i.rd, rax);
  move(to, i.rs1);
  emit(id, to, b);
  commit(i.rd, to);
}

void Compiler::shift(const Instruction& i, bool is_immediate) {
  const Opcode form = register_form(i.opcode);
  if (is_immediate) {
    const InstId id = form == Opcode::kShl ? Inst::kIdShl : form == Opcode::kShr ? Inst::kIdShr : Inst::kIdSar;
    return in_place(id, i, Imm(i.imm));
  }
  // The three-operand forms take the count modulo 64 from any register and leave the flags alone.
  const InstId id = form == Opcode::kShl ? Inst::kIdShlx : form == Opcode::kShr ? Inst::kIdShrx : Inst::kIdSarx;
  const Gp to = target(i.rd, rax);
  a_.emit(id, to, use(i.rs1, rax), use(i.rs2, rcx));
  commit(i.rd, to);
}

void Compiler::divide(const Instruction& i, const Operand& b, bool wants_remainder) {
  const Label by_zero = a_.newLabel();
  const Label done = a_.newLabel();
  emit(Inst::kIdMov, rcx, b);
  move(rax, i.rs1);
  a_.test(rcx, rcx);
  a_.jz(by_zero);
  a_.xor_(edx, edx);
  a_.div(rcx);
  a_.jmp(done);
  a_.bind(by_zero);
  a_.mov(rdx, rax);
  a_.mov(rax, -1);
  a_.bind(done);
  commit(i.rd, wants_remainder ? rdx : rax);
}

// rd = b when `take_b` holds for (b compared with rs1), rs1 otherwise.
void Compiler::choose(const Instruction& i, const Operand& b, CondCode take_b) {
  emit(Inst::kIdMov, rcx, b);
  move(rax, i.rs1);
  a_.cmp(rcx, rax);
  a_.cmov(take_b, rax, rcx);
  commit(i.rd, rax);
}

void Compiler::set(const Instruction& i, const Operand& b, CondCode condition) {
  emit(Inst::kIdCmp, use(i.rs1, rax), b);
  a_.set(condition, al);
  a_.movzx(eax, al);
  commit(i.rd, rax);
}

void Compiler::two_operands(const Instruction& i) {
  const Opcode form = register_form(i.opcode);
  const bool is_immediate = form != i.opcode;
  const Operand b = is_immediate ? Operand(Imm(int64_t{i.imm})) : operand(i.rs2);
  switch (form) {
    case Opcode::kAdd: return in_place(Inst::kIdAdd, i, b);
    case Opcode::kSub: return in_place(Inst::kIdSub, i, b);
    case Opcode::kAnd: return in_place(Inst::kIdAnd, i, b);
    case Opcode::kOr: return in_place(Inst::kIdOr, i, b);
    case Opcode::kXor: return in_place(Inst::kIdXor, i, b);
    case Opcode::kMul:
      if (!is_immediate) return in_place(Inst::kIdImul, i, b);
      a_.emit(Inst::kIdImul, target(i.rd, rax), use(i.rs1, rcx), b);
      return commit(i.rd, target(i.rd, rax));
    case Opcode::kDivu: return divide(i, b, false);
    case Opcode::kRemu: return divide(i, b, true);
    case Opcode::kShl:
    case Opcode::kShr:
    case Opcode::kSar: return shift(i, is_immediate);
    case Opcode::kMin: return choose(i, b, CondCode::kUnsignedLT);
    case Opcode::kMax: return choose(i, b, CondCode::kUnsignedGT);
    case Opcode::kMins: return choose(i, b, CondCode::kSignedLT);
    case Opcode::kMaxs: return choose(i, b, CondCode::kSignedGT);
    case Opcode::kSeteq: return set(i, b, CondCode::kEqual);
    case Opcode::kSetne: return set(i, b, CondCode::kNotEqual);
    case Opcode::kSetltu: return set(i, b, CondCode::kUnsignedLT);
    case Opcode::kSetleu: return set(i, b, CondCode::kUnsignedLE);
    case Opcode::kSetlts: return set(i, b, CondCode::kSignedLT);
    case Opcode::kSetles: return set(i, b, CondCode::kSignedLE);
    default: TIARA_CHECK(false);  // any other arithmetic has been dealt with
  }
}

// to = zext(from[lsb + width - 1 : lsb]). They may be the same register.
void Compiler::extract(const Gp& to, const Gp& from, uint32_t lsb, uint32_t width) {
  const auto copy = [&] {
    if (to != from) a_.mov(to, from);
  };
  if (width < 32 && lsb != 0) {
    a_.rorx(to, from, lsb);  // a copy and a shift in one
    a_.and_(to.r32(), (1u << width) - 1);
  } else if (width < 32) {
    if (to != from) a_.mov(to.r32(), from.r32());
    a_.and_(to.r32(), (1u << width) - 1);
  } else if (lsb + width == 64) {
    copy();
    if (lsb != 0) a_.shr(to, lsb);
  } else if (width == 32) {
    copy();
    if (lsb != 0) a_.shr(to, lsb);
    a_.mov(to.r32(), to.r32());
  } else {
    copy();
    a_.shl(to, 64 - lsb - width);
    a_.shr(to, 64 - width);
  }
}

void Compiler::arithmetic(const Instruction& i) {
  retire();
  const Gp to = target(i.rd, rax);
  switch (i.opcode) {
    case Opcode::kLi:
      if (i.imm == 0) a_.xor_(to.r32(), to.r32());
      else a_.mov(to, int64_t{i.imm});
      break;
    case Opcode::kLih:
      move(rcx, i.rd);
      a_.mov(ecx, ecx);
      a_.mov(rax, uint64_t{i.bits()} << 32);
      a_.or_(rax, rcx);
      return commit(i.rd, rax);
    case Opcode::kMov: move(to, i.rs1); break;
    case Opcode::kPopcnt: emit(Inst::kIdPopcnt, to, operand(i.rs1)); break;
    case Opcode::kCtz: emit(Inst::kIdTzcnt, to, operand(i.rs1)); break;
    case Opcode::kClz: emit(Inst::kIdLzcnt, to, operand(i.rs1)); break;
    case Opcode::kSel: {
      const Gp condition = use(i.rs1, rcx);
      move(rax, i.rs3);
      a_.test(condition, condition);
      emit(Inst::cmovccFromCond(CondCode::kNotZero), rax, operand(i.rs2));
      return commit(i.rd, rax);
    }
    case Opcode::kBfx:
      extract(to, use(i.rs1, to), i.lsb(), i.width());
      break;
    case Opcode::kBfxs:
      move(to, i.rs1);
      if (i.lsb() + i.width() != 64) a_.shl(to, 64 - i.lsb() - i.width());
      a_.sar(to, 64 - i.width());
      break;
    default: return two_operands(i);  // any other one has two operands
  }
  commit(i.rd, to);
}

}  // namespace tiara::nic::jit
