#include "nic/verifier/semantics.h"

#include <algorithm>

#include "nic/verifier/saturating.h"

namespace tiara::nic {
namespace {

using Value = AbstractValue;
namespace ops = abstract;

Value truth_value(Relation relation, const Value& a, const Value& b) {
  const Origin origin = a.origin() | b.origin();
  switch (evaluate(relation, a, b)) {
    case Truth::kNever: return Value::constant(0, origin);
    case Truth::kAlways: return Value::constant(1, origin);
    case Truth::kMaybe: return Value::range(0, 1, origin);
  }
  return Value::top(origin);
}

Value loaded(unsigned bytes) {
  return bytes >= 8 ? Value::top(Origin::kLoaded)
                    : Value::range(0, (uint64_t{1} << (8 * bytes)) - 1, Origin::kLoaded);
}

Value loaded_signed(unsigned bytes) {
  const int64_t limit = int64_t{1} << (8 * bytes - 1);
  return Value::signed_range(-limit, limit - 1, Origin::kLoaded);
}

// Arithmetic on rs1 and a second operand, by the register form's opcode.
Value arithmetic(Opcode opcode, const Value& a, const Value& b) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
  switch (opcode) {
    case Opcode::kAdd: return ops::add(a, b);
    case Opcode::kSub: return ops::subtract(a, b);
    case Opcode::kMul: return ops::multiply(a, b);
    case Opcode::kDivu: return ops::divide_unsigned(a, b);
    case Opcode::kRemu: return ops::remainder_unsigned(a, b);
    case Opcode::kAnd: return ops::bit_and(a, b);
    case Opcode::kOr: return ops::bit_or(a, b);
    case Opcode::kXor: return ops::bit_xor(a, b);
    case Opcode::kShl: return ops::shift_left(a, b);
    case Opcode::kShr: return ops::shift_right(a, b);
    case Opcode::kSar: return ops::shift_right_arithmetic(a, b);
    case Opcode::kMin: return ops::min_unsigned(a, b);
    case Opcode::kMax: return ops::max_unsigned(a, b);
    case Opcode::kMins: return ops::min_signed(a, b);
    case Opcode::kMaxs: return ops::max_signed(a, b);
    case Opcode::kSeteq: return truth_value(Relation::kEqual, a, b);
    case Opcode::kSetne: return truth_value(Relation::kNotEqual, a, b);
    case Opcode::kSetltu: return truth_value(Relation::kBelow, a, b);
    case Opcode::kSetleu: return truth_value(Relation::kAtLeast, b, a);
    case Opcode::kSetlts: return truth_value(Relation::kLess, a, b);
    case Opcode::kSetles: return truth_value(Relation::kGreaterEqual, b, a);
    default:
      // any other opcode: nothing is known of what it gives
      return Value::top(a.origin() | b.origin());
  }
#pragma GCC diagnostic pop
}

// "rd, rs1, imm" instructions stand this far after their register forms in the table.
constexpr uint8_t kImmediateForm = 0x20;
static_assert(static_cast<uint8_t>(Opcode::kAddi) - static_cast<uint8_t>(Opcode::kAdd) == kImmediateForm);
static_assert(static_cast<uint8_t>(Opcode::kShli) - static_cast<uint8_t>(Opcode::kShl) == kImmediateForm);
static_assert(static_cast<uint8_t>(Opcode::kSetlesi) - static_cast<uint8_t>(Opcode::kSetles) ==
              kImmediateForm);
constexpr uint8_t kBranchImmediateForm = 8;
static_assert(static_cast<uint8_t>(Opcode::kBeqi) - static_cast<uint8_t>(Opcode::kBeq) ==
              kBranchImmediateForm);
static_assert(static_cast<uint8_t>(Opcode::kBclri) - static_cast<uint8_t>(Opcode::kBclr) ==
              kBranchImmediateForm);

Opcode register_form(Opcode opcode, uint8_t distance) {
  return static_cast<Opcode>(static_cast<uint8_t>(opcode) - distance);
}

bool is_sign_extending(Opcode opcode) {
  return opcode == Opcode::kLds1 || opcode == Opcode::kLds2 || opcode == Opcode::kLds4;
}

Value unary(Opcode opcode, const Value& a) {
  if (opcode == Opcode::kMov) return a;
  if (opcode == Opcode::kPopcnt) return ops::population_count(a);
  if (opcode == Opcode::kCtz) return ops::count_trailing_zeros(a);
  if (opcode == Opcode::kClz) return ops::count_leading_zeros(a);
  return Value::top(a.origin());
}

// sel: the operand that the condition picks, or either.
Value select(const Value& condition, const Value& if_set, const Value& if_zero) {
  if (!condition.contains(0)) return if_set.with_origin(if_set.origin() | condition.origin());
  if (condition.is_constant()) return if_zero.with_origin(if_zero.origin() | condition.origin());
  const Value either = join(if_set, if_zero);
  return either.with_origin(either.origin() | condition.origin());
}

// rd after the instruction.
Value result(const Instruction& i, const InstructionInfo& row, const AbstractState& s) {
  const Value& a = s.registers[i.rs1];
  const Value& b = s.registers[i.rs2];
  const Value imm = Value::constant(i.value());
  switch (row.format) {
    case Format::kRd: return Value::range(0, kMaxProgramPayloadBytes, Origin::kArgument);  // plen
    case Format::kRdImm: return imm;
    case Format::kRdImmMerge: {
      const Value low = ops::bit_and(s.registers[i.rd], Value::constant(0xffff'ffff));
      return ops::bit_or(low, Value::constant(i.value() << 32));
    }
    case Format::kRdRs: return unary(i.opcode, a);
    case Format::kRdRsRs: return arithmetic(i.opcode, a, b);
    case Format::kRdRsImm:
    case Format::kRdRsShift: return arithmetic(register_form(i.opcode, kImmediateForm), a, imm);
    case Format::kSelect: return select(a, b, s.registers[i.rs3]);
    case Format::kBitField:
      return i.opcode == Opcode::kBfxs ? ops::extract_bits_signed(a, i.lsb(), i.width())
                                       : ops::extract_bits(a, i.lsb(), i.width());
    case Format::kLoad:
    case Format::kLoadIndexed:
    case Format::kPadLoad:
      return is_sign_extending(i.opcode) ? loaded_signed(row.access_bytes) : loaded(row.access_bytes);
    case Format::kPayloadLoad: return Value::top(Origin::kArgument);
    case Format::kCas:
    case Format::kAtomic:
    case Format::kRemoteLoad:
    case Format::kRemoteCas:
    case Format::kRemoteAtomic: return Value::top(Origin::kLoaded);
    case Format::kNone:
    case Format::kRet:
    case Format::kFail:
    case Format::kLoop:
    case Format::kJump:
    case Format::kBranch:
    case Format::kBranchImm:
    case Format::kBranchBit:
    case Format::kStore:
    case Format::kLine:
    case Format::kPadStore:
    case Format::kEmit:
    case Format::kPrefetch:
    case Format::kGather:
    case Format::kGatherStrided:
    case Format::kGatherList:
    case Format::kScatter:
    case Format::kScatterStrided:
    case Format::kScatterList:
    case Format::kFill:
    case Format::kCopy:
    case Format::kRemoteStore:
    case Format::kRemoteGather: break;
  }
  return Value::top();
}

}  // namespace

void apply(const Instruction& i, AbstractState& state) {
  const InstructionInfo& row = info(i.opcode);
  if (info(row.format).writes_rd) {
    state.set(i.rd, result(i, row, state));
  } else if (row.format == Format::kLine) {
    state.written.insert(i.pad_offset(), kLineBytes);
  } else if (row.format == Format::kPadStore) {
    const Value offset = access_offset(i, state);
    if (offset.is_constant()) state.written.insert(offset.umin(), row.access_bytes);
  }
}

Condition condition_of(const Instruction& branch, const AbstractState& state) {
  const Format format = info(branch.opcode).format;
  const bool is_register = format == Format::kBranch;
  const Opcode opcode = is_register ? branch.opcode : register_form(branch.opcode, kBranchImmediateForm);
  Condition condition{Relation::kEqual, branch.rs1, Value(), is_register, branch.rs2};
  condition.right = is_register ? state.registers[branch.rs2]
                                : Value::constant(static_cast<uint64_t>(int64_t{branch.compare_value()}));
  if (opcode == Opcode::kBset || opcode == Opcode::kBclr) {
    const Value number = is_register ? condition.right : Value::constant(branch.bit_number());
    condition.right = ops::shift_left(Value::constant(1), number);
    condition.is_right_register = false;  // the mask is not the register
    condition.relation = opcode == Opcode::kBset ? Relation::kBitsSet : Relation::kBitsClear;
  } else if (opcode == Opcode::kBeq) {
    condition.relation = Relation::kEqual;
  } else if (opcode == Opcode::kBne) {
    condition.relation = Relation::kNotEqual;
  } else if (opcode == Opcode::kBltu) {
    condition.relation = Relation::kBelow;
  } else if (opcode == Opcode::kBgeu) {
    condition.relation = Relation::kAtLeast;
  } else if (opcode == Opcode::kBlts) {
    condition.relation = Relation::kLess;
  } else {
    condition.relation = Relation::kGreaterEqual;  // bges: the last of the table
  }
  return condition;
}

bool assume(const Condition& condition, Relation relation, AbstractState& state) {
  if (condition.is_right_register && condition.right_reg == condition.left) {
    return relation == Relation::kEqual || relation == Relation::kAtLeast ||
           relation == Relation::kGreaterEqual;
  }
  Value right = condition.right;
  if (!nic::assume(relation, state.registers[condition.left], right)) return false;
  if (condition.is_right_register) state.registers[condition.right_reg] = right;
  return true;
}

AbstractValue access_offset(const Instruction& i, const AbstractState& state) {
  const InstructionInfo& row = info(i.opcode);
  const Value imm = Value::constant(i.value());
  if (is_absolute(i)) return imm;
  const Value& base = state.registers[i.rs1];
  if (row.format == Format::kLoadIndexed) {
    const Value index = ops::extract_bits(state.registers[i.rs2], i.lsb(), i.width());
    return ops::add(base, ops::shift_left(index, Value::constant(i.scale())));
  }
  if (row.format == Format::kLine) {
    return ops::add(base, Value::constant(static_cast<uint64_t>(int64_t{i.line_displacement()})));
  }
  return info(row.format).immediate == ImmediateUse::kOffset ||
                 info(row.format).immediate == ImmediateUse::kPadOffset
             ? ops::add(base, imm)
             : base;
}

uint64_t most_bytes_moved(const Instruction& i, const AbstractState& s) {
  const uint64_t element = i.bits();
  switch (info(i.opcode).format) {
    case Format::kGather:
    case Format::kFill: return s.registers[i.rs2].umax();
    case Format::kRemoteGather:
    case Format::kCopy: return s.registers[i.rs3].umax();
    case Format::kGatherStrided:
    case Format::kGatherList: return saturating_product(s.registers[i.rs3].umax(), element);
    // More than the payload is a fault, before a byte moves.
    case Format::kScatter: return std::min(kMaxProgramPayloadBytes, s.registers[i.rs3].umax());
    case Format::kScatterStrided:
    case Format::kScatterList:
      return std::min(kMaxProgramPayloadBytes, saturating_product(s.registers[i.rs3].umax(), element));
    case Format::kNone:
    case Format::kRet:
    case Format::kFail:
    case Format::kLoop:
    case Format::kJump:
    case Format::kRd:
    case Format::kRdImm:
    case Format::kRdImmMerge:
    case Format::kRdRs:
    case Format::kRdRsRs:
    case Format::kRdRsImm:
    case Format::kRdRsShift:
    case Format::kSelect:
    case Format::kBitField:
    case Format::kBranch:
    case Format::kBranchImm:
    case Format::kBranchBit:
    case Format::kLoad:
    case Format::kLoadIndexed:
    case Format::kStore:
    case Format::kLine:
    case Format::kPadLoad:
    case Format::kPadStore:
    case Format::kPayloadLoad:
    case Format::kEmit:
    case Format::kPrefetch:
    case Format::kCas:
    case Format::kAtomic:
    case Format::kRemoteLoad:
    case Format::kRemoteStore:
    case Format::kRemoteCas:
    case Format::kRemoteAtomic: return 0;
  }
  return 0;
}

}  // namespace tiara::nic
