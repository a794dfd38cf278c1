#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "nic/cc/optimize.h"

namespace tiara::nic::cc {
namespace {

// rs2.bits(lsb, width) << scale
struct Index {
  ValueId value;
  uint32_t lsb, width, scale;
  uint32_t saves;  // instructions, when nobody else wants their results
};
constexpr uint32_t kMaxScale = 7;
constexpr uint32_t kMaxWidth = 63;

class AddressFuser {
 public:
  AddressFuser(Function& function, const ZeroBits& zero_bits)
      : function_(function), zero_bits_(zero_bits) {}

  void run() {
    count_uses();
    for (BlockId block = 0; block < function_.blocks.size(); ++block) {
      // `body` may grow in front of the node that is looked at.
      for (size_t i = 0; i < function_.blocks[block].body.size(); ++i) {
        const ValueId value = function_.blocks[block].body[i];
        if (function_.node(value).kind != NodeKind::kInstruction) continue;
        fold_offset(value);
        if (const auto extra = fold_index(value)) {
          function_.node(*extra).block = block;
          auto& body = function_.blocks[block].body;
          body.insert(body.begin() + static_cast<ptrdiff_t>(i), *extra);
          ++i;
        }
      }
    }
    clean_up(function_);
  }

 private:
  void count_uses() {
    uses_.assign(function_.nodes.size(), 0);
    for (const Block& block : function_.blocks)
      for (const ValueId value : block.body)
        for (const ValueId operand : function_.node(value).in)
          if (operand != kNoValue) ++uses_[operand];
  }

  // a + b, also where it is written a | b because no bit is in both.
  bool is_sum(const Node& node) const {
    return node.is(Opcode::kAdd) ||
           (node.is(Opcode::kOr) &&
            (zero_bits_.of(node.in[kRs1]) | zero_bits_.of(node.in[kRs2])) == ~uint64_t{0});
  }

  void fold_offset(ValueId value) {
    Node& node = function_.node(value);
    const ImmediateUse use = info(info(node.opcode).format).immediate;
    if (use == ImmediateUse::kLine) return fold_line_offset(node);
    if (use != ImmediateUse::kOffset && use != ImmediateUse::kPadOffset) return;
    while (true) {
      const Node& address = function_.node(node.in[kRs1]);
      if (!is_sum(address) || !function_.node(address.in[kRs2]).is_constant()) break;
      const auto sum = plus(node.imm, function_.node(address.in[kRs2]).imm);
      if (!sum || *sum != static_cast<int32_t>(*sum)) break;
      node.imm = *sum;
      node.in[kRs1] = address.in[kRs1];
    }
    const Node& address = function_.node(node.in[kRs1]);
    if (!address.is_constant()) return;
    const auto sum = plus(node.imm, address.imm);
    const int64_t limit =
        use == ImmediateUse::kPadOffset ? int64_t{kMaxScratchpadBytes} - 1 : INT32_MAX;
    if (!sum || *sum < 0 || *sum > limit) return;
    node.imm = *sum;
    node.in[kRs1] = kNoValue;
    node.is_absolute = true;
  }

  void fold_line_offset(Node& node) {
    const Node& address = function_.node(node.in[kRs1]);
    if (!address.is(Opcode::kAdd) || !function_.node(address.in[kRs2]).is_constant()) return;
    const int64_t offset = function_.node(address.in[kRs2]).imm;
    if (offset != static_cast<int16_t>(offset) || node.imm >> 16 != 0) return;
    node.imm = pack_line(static_cast<uint32_t>(node.imm), static_cast<int32_t>(offset));
    node.in[kRs1] = address.in[kRs1];
  }

  static std::optional<int64_t> plus(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
    return sum;
  }

  // Gives a node that must stand before the load, when the sum had to be put together anew.
  std::optional<ValueId> fold_index(ValueId value) {
    const Node node = function_.node(value);
    if (node.opcode < Opcode::kLd1 || node.opcode > Opcode::kLd8 || node.is_absolute ||
        node.imm != 0)
      return std::nullopt;
    const Node address = function_.node(node.in[kRs1]);
    if (!is_sum(address)) return std::nullopt;
    const auto right = index_of(address.in[kRs2]), left = index_of(address.in[kRs1]);
    if (right && (!left || right->saves >= left->saves))
      return become_indexed(value, address.in[kRs1], *right), std::nullopt;
    if (left) return become_indexed(value, address.in[kRs2], *left), std::nullopt;
    // (base + index) + other: an index further in is worth the same when nobody else wants the
    // inner sum.
    for (const uint32_t side : {kRs1, kRs2}) {
      const Node inner = function_.node(address.in[side]);
      if (!is_sum(inner) || uses_[address.in[side]] != 1 || uses_[node.in[kRs1]] != 1) continue;
      const ValueId other = address.in[side == kRs1 ? kRs2 : kRs1];
      for (const uint32_t inner_side : {kRs2, kRs1}) {
        const auto index = index_of(inner.in[inner_side]);
        if (!index) continue;
        const ValueId base = inner.in[inner_side == kRs2 ? kRs1 : kRs2];
        const ValueId sum = function_.add(
            {.opcode = Opcode::kAdd, .in = {base, other, kNoValue, kNoValue}, .place = node.place});
        become_indexed(value, sum, *index);
        return sum;
      }
    }
    return std::nullopt;
  }

  void become_indexed(ValueId value, ValueId base, const Index& index) {
    Node& node = function_.node(value);
    const auto size = static_cast<uint8_t>(static_cast<uint8_t>(node.opcode) -
                                           static_cast<uint8_t>(Opcode::kLd1));
    node.opcode = static_cast<Opcode>(static_cast<uint8_t>(Opcode::kLd1x) + size);
    node.in = {base, index.value, kNoValue, kNoValue};
    node.imm = pack_bits(index.lsb, index.width, index.scale);
  }

  struct Shifted {
    Opcode opcode;
    ValueId value;
    uint64_t constant;
  };
  std::optional<Shifted> shifted(ValueId value) const {
    const Node& node = function_.node(value);
    if (!node.is(Opcode::kShl) && !node.is(Opcode::kShr) && !node.is(Opcode::kAnd))
      return std::nullopt;
    const Node& right = function_.node(node.in[kRs2]);
    if (!right.is_constant()) return std::nullopt;
    return Shifted{node.opcode, node.in[kRs1], static_cast<uint64_t>(right.imm)};
  }

  std::optional<Index> index_of(ValueId value) const {
    const Node& node = function_.node(value);
    if (node.is(Opcode::kBfx))
      return Index{node.in[kRs1], static_cast<uint32_t>(node.imm & 63),
                   static_cast<uint32_t>(node.imm >> 8 & 63), 0, 1};
    const auto outer = shifted(value);
    if (!outer) return std::nullopt;
    if (outer->opcode == Opcode::kAnd) return masked(outer->value, outer->constant);
    if (outer->opcode == Opcode::kShr || outer->constant < 1 || outer->constant > kMaxScale)
      return std::nullopt;
    const auto scale = static_cast<uint32_t>(outer->constant);
    const Node& field = function_.node(outer->value);
    if (field.is(Opcode::kBfx))
      return Index{field.in[kRs1], static_cast<uint32_t>(field.imm & 63),
                   static_cast<uint32_t>(field.imm >> 8 & 63), scale, 2};
    const auto inner = shifted(outer->value);
    if (inner && inner->opcode == Opcode::kAnd && is_low_mask(inner->constant) &&
        inner->constant <= low_mask(kMaxWidth))
      return Index{inner->value, 0, static_cast<uint32_t>(std::popcount(inner->constant)), scale, 2};
    if (inner && inner->opcode == Opcode::kShr && inner->constant >= 1 &&
        inner->constant <= kMaxWidth)
      return Index{inner->value, static_cast<uint32_t>(inner->constant),
                   64 - static_cast<uint32_t>(inner->constant), scale, 2};
    return Index{outer->value, 0, 64 - scale, scale, 1};
  }

  // (value & mask), the mask being one run of ones; clang writes ((x >> 12) & 511) << 3 as (x >> 9)
  // & 0xff8.
  std::optional<Index> masked(ValueId value, uint64_t mask) const {
    auto inner = shifted(value);
    if (inner && inner->opcode == Opcode::kAnd) inner.reset();
    const uint32_t by = inner ? static_cast<uint32_t>(inner->constant & 63) : 0;
    if (inner && inner->opcode == Opcode::kShl)
      mask &= ~low_mask(by);  // zeros that the shift brought in
    if (inner && inner->opcode == Opcode::kShr) mask &= ~uint64_t{0} >> by;
    if (mask == 0) return std::nullopt;
    const auto scale = static_cast<uint32_t>(std::countr_zero(mask));
    const auto width = static_cast<uint32_t>(std::popcount(mask));
    if (!is_low_mask(mask >> scale) || scale > kMaxScale || width > kMaxWidth) return std::nullopt;
    if (!inner) return Index{value, scale, width, scale, 1};
    if (inner->opcode == Opcode::kShl) return Index{inner->value, scale - by, width, scale, 2};
    return Index{inner->value, scale + by, width, scale, 2};
  }

  Function& function_;
  const ZeroBits& zero_bits_;
  std::vector<uint32_t> uses_;
};

}  // namespace

void fuse_addresses(Function& function, const ZeroBits& zero_bits) {
  AddressFuser(function, zero_bits).run();
}

}  // namespace tiara::nic::cc
