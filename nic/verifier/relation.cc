// What a branch teaches: evaluating a relation on abstract values, and narrowing them by assuming it.
#include <algorithm>

#include "nic/verifier/domain.h"
#include "nic/verifier/value_parts.h"

namespace tiara::nic {
namespace {

// Narrows with the parts as bounds; false when nothing is left.
bool narrow(AbstractValue& value, const ValueParts& parts) {
  const auto narrowed = parts.reduce();
  if (!narrowed) return false;
  value = *narrowed;
  return true;
}

bool assume_equal(AbstractValue& a, AbstractValue& b) {
  const auto common = a.meet(b);
  if (!common) return false;
  a = common->with_origin(a.origin());
  b = common->with_origin(b.origin());
  return true;
}

// a != constant: only a bound can move.
bool exclude(AbstractValue& a, uint64_t word) {
  if (a.is_constant()) return a.umin() != word;
  ValueParts parts = ValueParts::of(a);
  if (parts.umin == word) ++parts.umin;
  if (parts.umax == word) --parts.umax;
  if (parts.smin == static_cast<int64_t>(word)) ++parts.smin;
  if (parts.smax == static_cast<int64_t>(word)) --parts.smax;
  return narrow(a, parts);
}

// a < b (slack 1) or a <= b (slack 0), unsigned.
bool assume_below(AbstractValue& a, AbstractValue& b, uint64_t slack) {
  ValueParts left = ValueParts::of(a);
  ValueParts right = ValueParts::of(b);
  if (b.umax() < slack || a.umin() > ~uint64_t{0} - slack) return false;
  left.umax = std::min(left.umax, b.umax() - slack);
  right.umin = std::max(right.umin, a.umin() + slack);
  return narrow(a, left) && narrow(b, right);
}

bool assume_less(AbstractValue& a, AbstractValue& b, int64_t slack) {
  ValueParts left = ValueParts::of(a);
  ValueParts right = ValueParts::of(b);
  if (b.smax() < INT64_MIN + slack || a.smin() > INT64_MAX - slack) return false;
  left.smax = std::min(left.smax, b.smax() - slack);
  right.smin = std::max(right.smin, a.smin() + slack);
  return narrow(a, left) && narrow(b, right);
}

// (a & mask) == 0: the bits of the mask that are known to be set are clear in a.
bool assume_clear(AbstractValue& a, const KnownBits& mask) {
  ValueParts parts = ValueParts::of(a);
  if (!parts.bits.meet({0, ~mask.value})) return false;
  return narrow(a, parts);
}

// (a & mask) != 0: when one bit only can make it so, that bit is set.
bool assume_set(AbstractValue& a, const KnownBits& mask) {
  const uint64_t candidates = a.bits().max() & mask.max();
  if (candidates == 0) return false;
  if (!std::has_single_bit(candidates)) return exclude(a, 0);
  ValueParts parts = ValueParts::of(a);
  if (!parts.bits.meet({candidates, ~candidates})) return false;
  return narrow(a, parts);
}

}  // namespace

Relation negate(Relation relation) {
  switch (relation) {
    case Relation::kEqual: return Relation::kNotEqual;
    case Relation::kNotEqual: return Relation::kEqual;
    case Relation::kBelow: return Relation::kAtLeast;
    case Relation::kAtLeast: return Relation::kBelow;
    case Relation::kLess: return Relation::kGreaterEqual;
    case Relation::kGreaterEqual: return Relation::kLess;
    case Relation::kBitsSet: return Relation::kBitsClear;
    case Relation::kBitsClear: return Relation::kBitsSet;
  }
  __builtin_unreachable();
}

bool assume(Relation relation, AbstractValue& a, AbstractValue& b) {
  switch (relation) {
    case Relation::kEqual: return assume_equal(a, b);
    case Relation::kNotEqual:
      return (!b.is_constant() || exclude(a, b.umin())) && (!a.is_constant() || exclude(b, a.umin()));
    case Relation::kBelow: return assume_below(a, b, 1);
    case Relation::kAtLeast: return assume_below(b, a, 0);
    case Relation::kLess: return assume_less(a, b, 1);
    case Relation::kGreaterEqual: return assume_less(b, a, 0);
    case Relation::kBitsSet: return assume_set(a, b.bits()) && assume_set(b, a.bits());
    case Relation::kBitsClear: return assume_clear(a, b.bits()) && assume_clear(b, a.bits());
  }
  __builtin_unreachable();
}

Truth evaluate(Relation relation, const AbstractValue& a, const AbstractValue& b) {
  AbstractValue left = a;
  AbstractValue right = b;
  if (!assume(relation, left, right)) return Truth::kNever;
  left = a;
  right = b;
  return assume(negate(relation), left, right) ? Truth::kMaybe : Truth::kAlways;
}

}  // namespace tiara::nic
