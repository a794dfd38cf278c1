#include "nic/verifier/domain.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "nic/verifier/value_parts.h"

namespace tiara::nic {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;

// Moves the unsigned bounds inwards to words whose known low bits are right. False when none is left.
bool align_bounds(ValueParts& p) {
  const int known = std::countr_zero(p.bits.unknown);
  if (known == 0 || known == 64) return known == 0 || (p.umin <= p.bits.value && p.bits.value <= p.umax);
  const uint64_t mask = (uint64_t{1} << known) - 1;
  const uint64_t low = p.bits.value & mask;
  uint64_t least = (p.umin & ~mask) | low;
  if (least < p.umin && __builtin_add_overflow(least, mask + 1, &least)) return false;
  uint64_t most = (p.umax & ~mask) | low;
  if (most > p.umax && __builtin_sub_overflow(most, mask + 1, &most)) return false;
  p.umin = least;
  p.umax = most;
  return least <= most;
}

// Known bits bound both intervals; intervals of one sign bound each other; a common prefix is known bits.
bool exchange(ValueParts& p) {
  p.umin = std::max(p.umin, p.bits.min());
  p.umax = std::min(p.umax, p.bits.max());
  p.smin = std::max(p.smin, static_cast<int64_t>(p.bits.value | (p.bits.unknown & kSignBit)));
  p.smax = std::min(p.smax, static_cast<int64_t>(p.bits.value | (p.bits.unknown & ~kSignBit)));
  if (p.umin > p.umax || p.smin > p.smax) return false;

  // The unsigned order has a seam at 2^63, the signed one at 0: bounds on one side of the seam carry over.
  if (static_cast<int64_t>(p.umin) <= static_cast<int64_t>(p.umax)) {
    p.smin = std::max(p.smin, static_cast<int64_t>(p.umin));
    p.smax = std::min(p.smax, static_cast<int64_t>(p.umax));
  } else if (static_cast<int64_t>(p.umax) < p.smin) {  // the negative words are excluded by smin
    p.smin = std::max(p.smin, static_cast<int64_t>(p.umin));
  } else if (static_cast<int64_t>(p.umin) > p.smax) {  // the other ones are excluded by smax
    p.smax = std::min(p.smax, static_cast<int64_t>(p.umax));
  }
  if (p.smin > p.smax) return false;
  if (static_cast<uint64_t>(p.smin) <= static_cast<uint64_t>(p.smax)) {
    p.umin = std::max(p.umin, static_cast<uint64_t>(p.smin));
    p.umax = std::min(p.umax, static_cast<uint64_t>(p.smax));
  } else if (p.umax < static_cast<uint64_t>(p.smin)) {
    p.umax = std::min(p.umax, static_cast<uint64_t>(p.smax));
  } else if (p.umin > static_cast<uint64_t>(p.smax)) {
    p.umin = std::max(p.umin, static_cast<uint64_t>(p.smin));
  }
  if (p.umin > p.umax) return false;
  return p.bits.meet(KnownBits::range(p.umin, p.umax)) && align_bounds(p);
}

}  // namespace

std::optional<AbstractValue> ValueParts::reduce() const {
  ValueParts parts = *this;
  // Twice lets what the last step learned reach the first ones; more gains next to nothing.
  if (!exchange(parts) || !exchange(parts)) return std::nullopt;
  AbstractValue value;
  value.umin_ = parts.umin;
  value.umax_ = parts.umax;
  value.smin_ = parts.smin;
  value.smax_ = parts.smax;
  value.bits_ = parts.bits;
  value.origin_ = parts.origin;
  return value;
}

AbstractValue ValueParts::reduce_nonempty() const {
  auto value = reduce();
  return value ? *value : AbstractValue::top(origin);
}

AbstractValue AbstractValue::top(Origin origin) {
  AbstractValue value;
  value.origin_ = origin;
  return value;
}

AbstractValue AbstractValue::constant(uint64_t word, Origin origin) {
  AbstractValue value;
  value.umin_ = value.umax_ = word;
  value.smin_ = value.smax_ = static_cast<int64_t>(word);
  value.bits_ = KnownBits::constant(word);
  value.origin_ = origin;
  return value;
}

AbstractValue AbstractValue::range(uint64_t low, uint64_t high, Origin origin) {
  return ValueParts{.umin = low, .umax = high, .origin = origin}.reduce_nonempty();
}

AbstractValue AbstractValue::signed_range(int64_t low, int64_t high, Origin origin) {
  return ValueParts{.smin = low, .smax = high, .origin = origin}.reduce_nonempty();
}

bool AbstractValue::includes(const AbstractValue& inner) const {
  return umin_ <= inner.umin_ && umax_ >= inner.umax_ && smin_ <= inner.smin_ && smax_ >= inner.smax_ &&
         bits_.includes(inner.bits_) && nic::includes(origin_, inner.origin_);
}

std::optional<AbstractValue> AbstractValue::meet(const AbstractValue& other) const {
  ValueParts parts = ValueParts::of(*this);
  parts.umin = std::max(umin_, other.umin_);
  parts.umax = std::min(umax_, other.umax_);
  parts.smin = std::max(smin_, other.smin_);
  parts.smax = std::min(smax_, other.smax_);
  if (!parts.bits.meet(other.bits_)) return std::nullopt;
  return parts.reduce();
}

AbstractValue AbstractValue::with_origin(Origin origin) const {
  AbstractValue value = *this;
  value.origin_ = origin;
  return value;
}

AbstractValue join(const AbstractValue& a, const AbstractValue& b) {
  // Not reduced: the join then includes both operands part by part, on which the search for invariants relies;
  // and the hull of two reduced values leaves next to nothing to learn.
  AbstractValue value;
  value.umin_ = std::min(a.umin_, b.umin_);
  value.umax_ = std::max(a.umax_, b.umax_);
  value.smin_ = std::min(a.smin_, b.smin_);
  value.smax_ = std::max(a.smax_, b.smax_);
  value.bits_ = join(a.bits_, b.bits_);
  value.origin_ = a.origin_ | b.origin_;
  return value;
}

AbstractValue widen(const AbstractValue& old, const AbstractValue& grown) {
  // Not reduced: reduction could pull a bound back from its threshold and let it climb for ever.
  AbstractValue value = grown;
  value.origin_ = old.origin_ | grown.origin_;
  if (grown.umin_ < old.umin_) value.umin_ = 0;
  else value.umin_ = old.umin_;
  if (grown.umax_ > old.umax_) {
    // Thresholds: the largest word of each access width, then 2^63 - 1, so that small counters stay small.
    value.umax_ = ~uint64_t{0};
    for (const unsigned width : {8u, 16u, 32u, 63u}) {
      const uint64_t threshold = (uint64_t{1} << width) - 1;
      if (grown.umax_ <= threshold) {
        value.umax_ = threshold;
        break;
      }
    }
  } else {
    value.umax_ = old.umax_;
  }
  if (grown.smin_ < old.smin_) value.smin_ = grown.smin_ >= 0 ? 0 : INT64_MIN;
  else value.smin_ = old.smin_;
  if (grown.smax_ > old.smax_) value.smax_ = grown.smax_ < 0 ? -1 : INT64_MAX;
  else value.smax_ = old.smax_;
  KnownBits bits = join(old.bits_, grown.bits_);
  if (bits.unknown != old.bits_.unknown) {
    const uint64_t lost = bits.unknown & ~old.bits_.unknown;
    bits.unknown |= ~uint64_t{0} << std::countr_zero(lost);
    bits.value &= ~bits.unknown;
  }
  value.bits_ = bits;
  return value;
}

std::string AbstractValue::describe() const {
  char text[160];
  if (is_constant()) {
    std::snprintf(text, sizeof text, umin_ < 4096 ? "%" PRIu64 : "0x%" PRIx64, umin_);
  } else if (umin_ == 0 && umax_ == ~uint64_t{0}) {
    if (smin_ != INT64_MIN || smax_ != INT64_MAX) {
      std::snprintf(text, sizeof text, "signed [%" PRId64 ", %" PRId64 "]", smin_, smax_);
    } else {
      std::snprintf(text, sizeof text, "any value");
    }
  } else {
    std::snprintf(text, sizeof text,
                  umax_ < 65536 ? "[%" PRIu64 ", %" PRIu64 "]" : "[0x%" PRIx64 ", 0x%" PRIx64 "]", umin_,
                  umax_);
  }
  std::string out = text;
  if (!is_constant() && alignment_log2() > 0) {
    out += " multiple of " + std::to_string(uint64_t{1} << alignment_log2());
  }
  const char* separator = " (from ";
  const auto name = [&](Origin member, const char* word) {
    if (!nic::includes(origin_, member)) return;
    out += separator;
    out += word;
    separator = ", ";
  };
  if (!is_constant()) {
    name(Origin::kArgument, "argument");
    name(Origin::kLoaded, "memory");
    name(Origin::kInduction, "loop counter");
    if (*separator == ',') out += ")";
  }
  return out;
}

}  // namespace tiara::nic
