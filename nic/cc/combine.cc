#include <bit>
#include <optional>
#include <utility>

#include "nic/cc/optimize.h"

namespace tiara::nic::cc {
namespace {

constexpr int kMaxRounds =
    8;  // each round sees through one more layer; code from clang needs two or three

std::optional<uint64_t> evaluate(Opcode opcode, uint64_t a, uint64_t b) {
  if (opcode == Opcode::kAdd) return a + b;
  if (opcode == Opcode::kSub) return a - b;
  if (opcode == Opcode::kMul) return a * b;
  if (opcode == Opcode::kDivu) return b == 0 ? ~uint64_t{0} : a / b;
  if (opcode == Opcode::kRemu) return b == 0 ? a : a % b;
  if (opcode == Opcode::kAnd) return a & b;
  if (opcode == Opcode::kOr) return a | b;
  if (opcode == Opcode::kXor) return a ^ b;
  if (opcode == Opcode::kShl) return a << (b & 63);
  if (opcode == Opcode::kShr) return a >> (b & 63);
  if (opcode == Opcode::kSar) return static_cast<uint64_t>(static_cast<int64_t>(a) >> (b & 63));
  return std::nullopt;  // the others are left to the NIC
}

bool is_commutative(Opcode opcode) {
  return opcode == Opcode::kAdd || opcode == Opcode::kMul || opcode == Opcode::kAnd ||
         opcode == Opcode::kOr || opcode == Opcode::kXor || opcode == Opcode::kMin ||
         opcode == Opcode::kMax;
}

class Combiner {
 public:
  Combiner(Function& function, const ZeroBits& zero_bits)
      : function_(function), zero_bits_(zero_bits) {}

  void run() {
    for (int round = 0; round < kMaxRounds; ++round) {
      has_changed_ = false;
      forward_.resize(function_.nodes.size());
      for (ValueId i = 0; i < forward_.size(); ++i) forward_[i] = i;
      for (Block& block : function_.blocks)
        for (size_t i = 0; i < block.body.size(); ++i) visit(block.body[i]);
      grow();
      apply(function_, forward_);
      if (!has_changed_) break;
      clean_up(function_);
    }
  }

 private:
  Node& node(ValueId value) { return function_.node(value); }
  std::optional<uint64_t> constant_of(ValueId value) {
    if (value == kNoValue || !node(value).is_constant()) return std::nullopt;
    return static_cast<uint64_t>(node(value).imm);
  }
  ValueId constant(uint64_t value) { return function_.constant(static_cast<int64_t>(value)); }
  void grow() {
    while (forward_.size() < function_.nodes.size())
      forward_.push_back(static_cast<ValueId>(forward_.size()));
  }

  void become(ValueId value, ValueId other) {
    grow();
    forward_[value] = other;
    has_changed_ = true;
  }
  void become_constant(ValueId value, uint64_t number) { become(value, constant(number)); }
  // Rewrites a node in place.
  void become(ValueId value, Opcode opcode, ValueId a, ValueId b, int64_t imm = 0) {
    Node& target = node(value);
    target.opcode = opcode;
    target.in = {a, b, kNoValue, kNoValue};
    target.imm = imm;
    has_changed_ = true;
  }
  void become_field(ValueId value, Opcode opcode, ValueId a, uint32_t lsb, uint32_t width) {
    if (width == 64) return become(value, a);
    become(value, opcode, a, kNoValue, pack_bits(lsb, width));
  }

  void visit(ValueId value) {
    if (node(value).kind != NodeKind::kInstruction) return;
    grow();
    for (ValueId& operand : node(value).in)
      if (operand != kNoValue) operand = resolve(forward_, operand);
    const Opcode opcode = node(value).opcode;
    if (opcode == Opcode::kBfx || opcode == Opcode::kBfxs) return visit_field(value);
    if (info(opcode).format != Format::kRdRsRs) return;
    if (is_commutative(opcode) && constant_of(node(value).in[kRs1]) &&
        !constant_of(node(value).in[kRs2]))
      std::swap(node(value).in[kRs1], node(value).in[kRs2]);
    const ValueId a = node(value).in[kRs1], b = node(value).in[kRs2];
    const auto ca = constant_of(a), cb = constant_of(b);
    if (ca && cb)
      if (const auto result = evaluate(opcode, *ca, *cb)) return become_constant(value, *result);
    if (cb) visit_with_constant(value, opcode, a, *cb);
  }

  // The node's operation is `opcode` with a constant on the right, like that of the value looked
  // at.
  struct WithConstant {
    Opcode opcode;
    ValueId a;
    uint64_t constant;
  };
  std::optional<WithConstant> with_constant(ValueId value) {
    const Node& inner = node(value);
    if (inner.kind != NodeKind::kInstruction || info(inner.opcode).format != Format::kRdRsRs)
      return std::nullopt;
    const auto right = constant_of(inner.in[kRs2]);
    if (!right) return std::nullopt;
    return WithConstant{inner.opcode, inner.in[kRs1], *right};
  }

  void visit_with_constant(ValueId value, Opcode opcode, ValueId a, uint64_t c) {
    const auto inner = with_constant(a);
    const bool is_same = inner && inner->opcode == opcode;
    const auto log2 = static_cast<uint64_t>(std::countr_zero(c));
    const bool is_power = std::has_single_bit(c);
    if (opcode == Opcode::kAdd && c == 0) return become(value, a);
    if (opcode == Opcode::kAdd && is_same)
      return become(value, opcode, inner->a, constant(inner->constant + c));
    if (opcode == Opcode::kSub) return become(value, Opcode::kAdd, a, constant(-c));
    if ((opcode == Opcode::kOr || opcode == Opcode::kXor) && c == 0) return become(value, a);
    if (opcode == Opcode::kMul && c == 0) return become_constant(value, 0);
    if (opcode == Opcode::kMul && is_power) return become(value, Opcode::kShl, a, constant(log2));
    if (opcode == Opcode::kDivu && is_power) return become(value, Opcode::kShr, a, constant(log2));
    if (opcode == Opcode::kRemu && is_power) return become(value, Opcode::kAnd, a, constant(c - 1));
    if (opcode == Opcode::kAnd) return visit_mask(value, a, c, inner);
    if (opcode == Opcode::kShl || opcode == Opcode::kShr || opcode == Opcode::kSar)
      return visit_shift(value, opcode, a, static_cast<uint32_t>(c & 63), inner);
  }

  void visit_mask(ValueId value, ValueId a, uint64_t mask,
                  const std::optional<WithConstant>& inner) {
    if (mask == 0) return become_constant(value, 0);
    if ((~mask & ~zero_bits_.of(a)) == 0) return become(value, a);
    if (inner && inner->opcode == Opcode::kAnd)
      return become(value, Opcode::kAnd, inner->a, constant(inner->constant & mask));
    if (!is_low_mask(mask)) return;
    const auto width = static_cast<uint32_t>(std::popcount(mask));
    if (inner && inner->opcode == Opcode::kShr) {
      const auto lsb = static_cast<uint32_t>(inner->constant & 63);
      if (lsb + width <= 64) return become_field(value, Opcode::kBfx, inner->a, lsb, width);
    }
    const Node& field = node(a);
    if (field.is(Opcode::kBfx)) {
      const auto old = static_cast<uint32_t>(field.imm);
      if (width < (old >> 8 & 63))
        return become_field(value, Opcode::kBfx, field.in[kRs1], old & 63, width);
    }
    if (mask > INT32_MAX) become_field(value, Opcode::kBfx, a, 0, width);
  }

  void visit_shift(ValueId value, Opcode opcode, ValueId a, uint32_t by,
                   const std::optional<WithConstant>& inner) {
    if (by == 0) return become(value, a);
    const uint32_t first = inner ? static_cast<uint32_t>(inner->constant & 63) : 0;
    if (inner && inner->opcode == opcode && opcode != Opcode::kSar)
      return first + by < 64 ? become(value, opcode, inner->a, constant(first + by))
                             : become_constant(value, 0);
    if (inner && inner->opcode == Opcode::kShl && first > 0 && by >= first &&
        opcode != Opcode::kShl)
      return become_field(value, opcode == Opcode::kShr ? Opcode::kBfx : Opcode::kBfxs, inner->a,
                          by - first, 64 - by);
    if (inner && inner->opcode == Opcode::kShr && opcode == Opcode::kShl && first == by && by < 32)
      return become(value, Opcode::kAnd, inner->a, constant(~low_mask(by)));
    if (inner && inner->opcode == Opcode::kAnd && opcode == Opcode::kShr &&
        is_low_mask(inner->constant >> by))
      return become_field(value, Opcode::kBfx, inner->a, by,
                          static_cast<uint32_t>(std::popcount(inner->constant >> by)));
    const Node& field = node(a);
    if (opcode == Opcode::kShr && field.is(Opcode::kBfx)) {
      const uint32_t lsb = field.imm & 63, width = field.imm >> 8 & 63;
      if (by >= width) return become_constant(value, 0);
      become_field(value, Opcode::kBfx, field.in[kRs1], lsb + by, width - by);
    }
  }

  void visit_field(ValueId value) {
    const Node self = node(value);
    const ValueId a = self.in[kRs1];
    const uint32_t lsb = self.imm & 63, width = self.imm >> 8 & 63;
    const bool is_signed = self.opcode == Opcode::kBfxs;
    if (const auto c = constant_of(a)) {
      const uint64_t bits = *c >> lsb & low_mask(width);
      const uint64_t sign = uint64_t{1} << (width - 1);
      return become_constant(value, is_signed ? (bits ^ sign) - sign : bits);
    }
    // All that the field leaves out is zero: then it is a shift, or nothing.
    if (!is_signed && (~(zero_bits_.of(a) >> lsb) & (~uint64_t{0} >> lsb) & ~low_mask(width)) == 0)
      return lsb == 0 ? become(value, a) : become(value, Opcode::kShr, a, constant(lsb));
    const auto inner = with_constant(a);
    const uint32_t by = inner ? static_cast<uint32_t>(inner->constant & 63) : 0;
    if (inner && inner->opcode == Opcode::kShr && lsb + by + width <= 64)
      return become_field(value, self.opcode, inner->a, lsb + by, width);
    if (inner && inner->opcode == Opcode::kShl && by <= lsb)
      return become_field(value, self.opcode, inner->a, lsb - by, width);
    if (inner && inner->opcode == Opcode::kAnd && (~inner->constant >> lsb & low_mask(width)) == 0)
      return become_field(value, self.opcode, inner->a, lsb, width);
    const Node& field = node(a);
    if (!field.is(Opcode::kBfx)) return;
    const uint32_t inner_lsb = field.imm & 63, inner_width = field.imm >> 8 & 63;
    if (lsb + width <= inner_width)
      become_field(value, self.opcode, field.in[kRs1], inner_lsb + lsb, width);
  }

  Function& function_;
  const ZeroBits& zero_bits_;
  std::vector<ValueId> forward_;
  bool has_changed_ = false;
};

}  // namespace

void combine(Function& function, const ZeroBits& zero_bits) {
  Combiner(function, zero_bits).run();
}

}  // namespace tiara::nic::cc
