// Transfer functions of the abstract domain: for all x in a and y in b, (x op y) is in op(a, b).
#include <algorithm>
#include <array>

#include "nic/verifier/domain.h"
#include "nic/verifier/value_parts.h"

namespace tiara::nic::abstract {
namespace {

using Wide = __int128;
using UnsignedWide = unsigned __int128;

Origin both(const AbstractValue& a, const AbstractValue& b) { return a.origin() | b.origin(); }

void set_signed(ValueParts& parts, Wide low, Wide high) {
  if (low < INT64_MIN || high > INT64_MAX) return;  // may wrap: nothing known
  parts.smin = static_cast<int64_t>(low);
  parts.smax = static_cast<int64_t>(high);
}

// A shift's amount, when only few are possible, one by one; else `coarse`.
template <typename Exact, typename Coarse>
AbstractValue for_each_amount(const AbstractValue& amount, Exact exact, Coarse coarse) {
  // Beyond this many the union is as good as the coarse answer, and the work stays bounded.
  constexpr unsigned kFew = 8;
  const AbstractValue low = bit_and(amount, AbstractValue::constant(63));
  if (low.umax() - low.umin() >= kFew)
    return coarse(static_cast<unsigned>(low.umin()), static_cast<unsigned>(low.umax()));
  std::optional<AbstractValue> result;
  for (uint64_t by = low.umin(); by <= low.umax(); ++by) {
    if (!low.contains(by)) continue;
    const AbstractValue one = exact(static_cast<unsigned>(by));
    result = result ? join(*result, one) : one;
  }
  return result ? *result : coarse(0, 63);
}

}  // namespace

AbstractValue add(const AbstractValue& a, const AbstractValue& b) {
  ValueParts parts{.bits = nic::add(a.bits(), b.bits()), .origin = both(a, b)};
  uint64_t low;
  uint64_t high;
  const bool low_wraps = __builtin_add_overflow(a.umin(), b.umin(), &low);
  const bool high_wraps = __builtin_add_overflow(a.umax(), b.umax(), &high);
  if (low_wraps == high_wraps) {  // all sums wrap, or none does
    parts.umin = low;
    parts.umax = high;
  }
  int64_t slow;
  int64_t shigh;
  if (!__builtin_add_overflow(a.smin(), b.smin(), &slow) &&
      !__builtin_add_overflow(a.smax(), b.smax(), &shigh)) {
    parts.smin = slow;
    parts.smax = shigh;
  }
  return parts.reduce_nonempty();
}

AbstractValue subtract(const AbstractValue& a, const AbstractValue& b) {
  ValueParts parts{.bits = nic::subtract(a.bits(), b.bits()), .origin = both(a, b)};
  uint64_t low;
  uint64_t high;
  const bool low_wraps = __builtin_sub_overflow(a.umin(), b.umax(), &low);
  const bool high_wraps = __builtin_sub_overflow(a.umax(), b.umin(), &high);
  if (low_wraps == high_wraps) {
    parts.umin = low;
    parts.umax = high;
  }
  int64_t slow;
  int64_t shigh;
  if (!__builtin_sub_overflow(a.smin(), b.smax(), &slow) &&
      !__builtin_sub_overflow(a.smax(), b.smin(), &shigh)) {
    parts.smin = slow;
    parts.smax = shigh;
  }
  return parts.reduce_nonempty();
}

AbstractValue multiply(const AbstractValue& a, const AbstractValue& b) {
  ValueParts parts{.bits = nic::multiply(a.bits(), b.bits()), .origin = both(a, b)};
  const UnsignedWide most = static_cast<UnsignedWide>(a.umax()) * b.umax();
  if (most <= ~uint64_t{0}) {
    parts.umin = a.umin() * b.umin();
    parts.umax = static_cast<uint64_t>(most);
  }
  const std::array<Wide, 4> corners = {Wide{a.smin()} * b.smin(), Wide{a.smin()} * b.smax(),
                                       Wide{a.smax()} * b.smin(), Wide{a.smax()} * b.smax()};
  const auto [low, high] = std::minmax_element(corners.begin(), corners.end());
  set_signed(parts, *low, *high);
  return parts.reduce_nonempty();
}

AbstractValue divide_unsigned(const AbstractValue& a, const AbstractValue& b) {
  const Origin origin = both(a, b);
  const AbstractValue by_zero = AbstractValue::constant(~uint64_t{0}, origin);
  if (b.umax() == 0) return by_zero;
  const uint64_t smallest_divisor = std::max<uint64_t>(b.umin(), 1);
  const AbstractValue quotient =
      AbstractValue::range(a.umin() / b.umax(), a.umax() / smallest_divisor, origin);
  return b.contains(0) ? join(quotient, by_zero) : quotient;
}

AbstractValue remainder_unsigned(const AbstractValue& a, const AbstractValue& b) {
  const Origin origin = both(a, b);
  if (b.umax() == 0 || a.umax() < b.umin()) return a.with_origin(origin);
  if (a.is_constant() && b.is_constant()) return AbstractValue::constant(a.umin() % b.umin(), origin);
  ValueParts parts{.umax = std::min(a.umax(), b.umax() - 1), .origin = origin};
  if (b.is_constant() && std::has_single_bit(b.umin())) {
    parts.bits = nic::bit_and(a.bits(), KnownBits::constant(b.umin() - 1));
  }
  const AbstractValue remainder = parts.reduce_nonempty();
  return b.contains(0) ? join(remainder, a) : remainder;
}

AbstractValue bit_and(const AbstractValue& a, const AbstractValue& b) {
  return ValueParts{
      .umax = std::min(a.umax(), b.umax()), .bits = nic::bit_and(a.bits(), b.bits()), .origin = both(a, b)}
      .reduce_nonempty();
}

AbstractValue bit_or(const AbstractValue& a, const AbstractValue& b) {
  return ValueParts{
      .umin = std::max(a.umin(), b.umin()), .bits = nic::bit_or(a.bits(), b.bits()), .origin = both(a, b)}
      .reduce_nonempty();
}

AbstractValue bit_xor(const AbstractValue& a, const AbstractValue& b) {
  return ValueParts{.bits = nic::bit_xor(a.bits(), b.bits()), .origin = both(a, b)}.reduce_nonempty();
}

AbstractValue shift_left(const AbstractValue& a, const AbstractValue& b) {
  const Origin origin = both(a, b);
  const auto exact = [&](unsigned by) {
    ValueParts parts{.bits = nic::shift_left(a.bits(), by), .origin = origin};
    if (a.umax() <= (~uint64_t{0} >> by)) {
      parts.umin = a.umin() << by;
      parts.umax = a.umax() << by;
    }
    set_signed(parts, Wide{a.smin()} << by, Wide{a.smax()} << by);
    return parts.reduce_nonempty();
  };
  const auto coarse = [&](unsigned least, unsigned most) {
    ValueParts parts{.origin = origin};
    // Zeros come in from below: at least `least` on top of those that were there.
    const unsigned zeros = std::min(63u, least + static_cast<unsigned>(a.alignment_log2()));
    parts.bits.unknown = ~uint64_t{0} << zeros;
    if (a.umax() <= (~uint64_t{0} >> most)) {
      parts.umin = a.umin() << least;
      parts.umax = a.umax() << most;
    }
    return parts.reduce_nonempty();
  };
  return for_each_amount(b, exact, coarse);
}

AbstractValue shift_right(const AbstractValue& a, const AbstractValue& b) {
  const Origin origin = both(a, b);
  const auto exact = [&](unsigned by) {
    return ValueParts{.umin = a.umin() >> by,
                      .umax = a.umax() >> by,
                      .bits = nic::shift_right(a.bits(), by),
                      .origin = origin}
        .reduce_nonempty();
  };
  const auto coarse = [&](unsigned least, unsigned most) {
    return AbstractValue::range(a.umin() >> most, a.umax() >> least, origin);
  };
  return for_each_amount(b, exact, coarse);
}

AbstractValue shift_right_arithmetic(const AbstractValue& a, const AbstractValue& b) {
  const Origin origin = both(a, b);
  const auto exact = [&](unsigned by) {
    return ValueParts{.smin = a.smin() >> by,
                      .smax = a.smax() >> by,
                      .bits = nic::shift_right_arithmetic(a.bits(), by),
                      .origin = origin}
        .reduce_nonempty();
  };
  const auto coarse = [&](unsigned least, unsigned most) {
    // Shifting moves towards zero, or towards -1 from below.
    return AbstractValue::signed_range(a.smin() >> (a.smin() < 0 ? least : most),
                                       a.smax() >> (a.smax() < 0 ? most : least), origin);
  };
  return for_each_amount(b, exact, coarse);
}

namespace {

// min and max give one of the operands: its known bits are those that both agree on.
ValueParts one_of(const AbstractValue& a, const AbstractValue& b) { return ValueParts::of(join(a, b)); }

}  // namespace

AbstractValue min_unsigned(const AbstractValue& a, const AbstractValue& b) {
  if (a.umax() <= b.umin()) return a.with_origin(both(a, b));
  if (b.umax() <= a.umin()) return b.with_origin(both(a, b));
  ValueParts parts = one_of(a, b);
  parts.umax = std::min(a.umax(), b.umax());
  return parts.reduce_nonempty();
}

AbstractValue max_unsigned(const AbstractValue& a, const AbstractValue& b) {
  if (a.umax() <= b.umin()) return b.with_origin(both(a, b));
  if (b.umax() <= a.umin()) return a.with_origin(both(a, b));
  ValueParts parts = one_of(a, b);
  parts.umin = std::max(a.umin(), b.umin());
  return parts.reduce_nonempty();
}

AbstractValue min_signed(const AbstractValue& a, const AbstractValue& b) {
  if (a.smax() <= b.smin()) return a.with_origin(both(a, b));
  if (b.smax() <= a.smin()) return b.with_origin(both(a, b));
  ValueParts parts = one_of(a, b);
  parts.smax = std::min(a.smax(), b.smax());
  return parts.reduce_nonempty();
}

AbstractValue max_signed(const AbstractValue& a, const AbstractValue& b) {
  if (a.smax() <= b.smin()) return b.with_origin(both(a, b));
  if (b.smax() <= a.smin()) return a.with_origin(both(a, b));
  ValueParts parts = one_of(a, b);
  parts.smin = std::max(a.smin(), b.smin());
  return parts.reduce_nonempty();
}

AbstractValue population_count(const AbstractValue& a) {
  return AbstractValue::range(std::popcount(a.bits().min()), std::popcount(a.bits().max()), a.origin());
}

AbstractValue count_trailing_zeros(const AbstractValue& a) {
  // A bit that is known to be 1 ends the count; one that may be 1 can end it earlier.
  return AbstractValue::range(
      std::countr_zero(a.bits().max()),
      a.umin() > 0 ? std::min(63, std::countr_zero(a.bits().min())) : std::countr_zero(a.bits().min()),
      a.origin());
}

AbstractValue count_leading_zeros(const AbstractValue& a) {
  return AbstractValue::range(std::countl_zero(a.umax()), std::countl_zero(a.umin()), a.origin());
}

AbstractValue extract_bits(const AbstractValue& a, unsigned lsb, unsigned width) {
  const AbstractValue shifted = shift_right(a, AbstractValue::constant(lsb)).with_origin(a.origin());
  if (width >= 64) return shifted;
  return bit_and(shifted, AbstractValue::constant((uint64_t{1} << width) - 1)).with_origin(a.origin());
}

AbstractValue extract_bits_signed(const AbstractValue& a, unsigned lsb, unsigned width) {
  const AbstractValue unused = AbstractValue::constant(64 - width);
  const AbstractValue top = shift_left(extract_bits(a, lsb, width), unused);
  return shift_right_arithmetic(top, unused).with_origin(a.origin());
}

}  // namespace tiara::nic::abstract
