#include <algorithm>
#include <bit>

#include "nic/cc/optimize.h"

namespace tiara::nic::cc {
namespace {

constexpr uint32_t kMaxDepth = 6;  // masks and shifts of interest stand close together

// No value above `max`: the bits above its highest one are zero.
uint64_t zeros_up_to(uint64_t max) {
  return ~low_mask(static_cast<uint32_t>(std::bit_width(max)));
}

}  // namespace

uint64_t ZeroBits::of(ValueId value, uint32_t depth) const {
  if (value == kNoValue || depth > kMaxDepth) return 0;
  const Node& node = function_.node(value);
  switch (node.kind) {
    case NodeKind::kConstant: return ~static_cast<uint64_t>(node.imm);
    case NodeKind::kParameter: {
      if (static_cast<uint64_t>(node.imm) >= header_.arguments.size()) return 0;
      const ArgumentContract& contract = header_.arguments[static_cast<size_t>(node.imm)];
      return zeros_up_to(contract.max) | contract.known_zero;
    }
    case NodeKind::kIndex: return zeros_up_to(kMaxLoopBound);
    case NodeKind::kInstruction: return of_instruction(node, depth + 1);
    case NodeKind::kUndefined:
    case NodeKind::kFrame:
    case NodeKind::kPhi:
    case NodeKind::kLoopBegin: return 0;
  }
  return 0;
}

uint64_t ZeroBits::of_instruction(const Node& node, uint32_t depth) const {
  const auto left = [&] { return of(node.in[kRs1], depth); };
  const auto right = [&] { return of(node.in[kRs2], depth); };
  const auto amount = [&]() -> int {
    const Node& by = function_.node(node.in[kRs2]);
    return by.is_constant() ? static_cast<int>(by.imm & 63) : -1;
  };
  const auto bytes = info(node.opcode).access_bytes;
  const Format format = info(node.opcode).format;
  if (format == Format::kLoad || format == Format::kLoadIndexed || format == Format::kPadLoad) {
    const bool is_signed = node.opcode == Opcode::kLds1 || node.opcode == Opcode::kLds2 ||
                           node.opcode == Opcode::kLds4;
    return is_signed ? 0 : ~low_mask(bytes * 8u);
  }
  if (node.is(Opcode::kAnd)) return left() | right();
  if (node.is(Opcode::kOr) || node.is(Opcode::kXor)) return left() & right();
  if (node.is(Opcode::kBfx)) return ~low_mask(static_cast<uint32_t>(node.imm >> 8 & 63));
  if (node.is(Opcode::kPopcnt) || node.is(Opcode::kCtz) || node.is(Opcode::kClz))
    return zeros_up_to(64);
  if (node.is(Opcode::kShl) && amount() >= 0)
    return left() << amount() | low_mask(static_cast<uint32_t>(amount()));
  if (node.is(Opcode::kShr) && amount() >= 0)
    return left() >> amount() | ~(~uint64_t{0} >> amount());
  if (node.is(Opcode::kMin))
    return ~low_mask(
        64u - static_cast<uint32_t>(std::max(std::countl_one(left()), std::countl_one(right()))));
  if (node.is(Opcode::kAdd)) {
    const uint64_t a = left(), b = right();
    const int low = std::min(std::countr_one(a), std::countr_one(b));
    const int high = std::min(std::countl_one(a), std::countl_one(b));
    return low_mask(static_cast<uint32_t>(low)) |
           (high > 1 ? ~low_mask(static_cast<uint32_t>(64 - high + 1)) : 0);
  }
  return 0;
}

}  // namespace tiara::nic::cc
