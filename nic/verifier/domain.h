// The verifier's abstract domain: what is known about one 64-bit register.
//
// An AbstractValue stands for a set of words: those inside the unsigned interval AND the signed interval AND
// matching the known bits. Each operation on abstract values is *sound*: for all x in a and y in b, the
// concrete result of x op y is in op(a, b). Where it came from (constant, argument, memory) rides along for
// messages and for whoever must not trust what memory says.
//
// Every value made here is non-empty, and all but those that join and widen make are *reduced*: the three parts
// have told each other what they know.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "nic/verifier/known_bits.h"

namespace tiara::nic {

// Where a word's information came from: a set, joined by every operation.
enum class Origin : uint8_t { kNone = 0, kConstant = 1, kArgument = 2, kLoaded = 4, kInduction = 8 };
constexpr Origin operator|(Origin a, Origin b) {
  return static_cast<Origin>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr bool includes(Origin set, Origin member) { return (set | member) == set; }

class AbstractValue {
 public:
  AbstractValue() = default;  // any word, from nowhere
  static AbstractValue top(Origin origin = Origin::kNone);
  static AbstractValue constant(uint64_t value, Origin origin = Origin::kConstant);
  static AbstractValue range(uint64_t low, uint64_t high, Origin origin = Origin::kNone);
  static AbstractValue signed_range(int64_t low, int64_t high, Origin origin = Origin::kNone);

  uint64_t umin() const { return umin_; }
  uint64_t umax() const { return umax_; }
  int64_t smin() const { return smin_; }
  int64_t smax() const { return smax_; }
  KnownBits bits() const { return bits_; }
  Origin origin() const { return origin_; }

  bool contains(uint64_t x) const {
    return x >= umin_ && x <= umax_ && static_cast<int64_t>(x) >= smin_ && static_cast<int64_t>(x) <= smax_ &&
           bits_.contains(x);
  }
  bool is_constant() const { return umin_ == umax_; }
  // Are all words of `inner` (and all its origins) in this one, part by part?
  bool includes(const AbstractValue& inner) const;

  // The words that are in both; nothing when there is none. The origin stays this value's.
  std::optional<AbstractValue> meet(const AbstractValue& other) const;
  AbstractValue with_origin(Origin origin) const;

  // Known low bits zero: `1 << alignment_log2()` divides every word.
  unsigned alignment_log2() const { return bits_.max() == 0 ? 63 : std::countr_zero(bits_.max()); }

  // "7", "[0, 4095]", "[0, 4088] aligned 8", "unknown", each with ", from memory" when `with_origin`.
  std::string describe() const;

  friend bool operator==(const AbstractValue&, const AbstractValue&) = default;
  friend AbstractValue join(const AbstractValue& a, const AbstractValue& b);
  friend AbstractValue widen(const AbstractValue& old, const AbstractValue& grown);
  friend struct ValueParts;

 private:
  uint64_t umin_ = 0;
  uint64_t umax_ = ~uint64_t{0};
  int64_t smin_ = INT64_MIN;
  int64_t smax_ = INT64_MAX;
  KnownBits bits_;
  Origin origin_ = Origin::kNone;
};

AbstractValue join(const AbstractValue& a, const AbstractValue& b);

// Extrapolates from old to grown (old joined with one more round of the loop) so that every chain of
// widenings is finite: a bound that moved goes to the next of a few thresholds, a bit that became unknown
// takes all higher ones along.
AbstractValue widen(const AbstractValue& old, const AbstractValue& grown);

// --- transfer functions; shift amounts are taken modulo 64 ---

namespace abstract {

AbstractValue add(const AbstractValue& a, const AbstractValue& b);
AbstractValue subtract(const AbstractValue& a, const AbstractValue& b);
AbstractValue multiply(const AbstractValue& a, const AbstractValue& b);
AbstractValue divide_unsigned(const AbstractValue& a, const AbstractValue& b);     // x / 0 = all ones
AbstractValue remainder_unsigned(const AbstractValue& a, const AbstractValue& b);  // x % 0 = x
AbstractValue bit_and(const AbstractValue& a, const AbstractValue& b);
AbstractValue bit_or(const AbstractValue& a, const AbstractValue& b);
AbstractValue bit_xor(const AbstractValue& a, const AbstractValue& b);
AbstractValue shift_left(const AbstractValue& a, const AbstractValue& b);
AbstractValue shift_right(const AbstractValue& a, const AbstractValue& b);
AbstractValue shift_right_arithmetic(const AbstractValue& a, const AbstractValue& b);
AbstractValue min_unsigned(const AbstractValue& a, const AbstractValue& b);
AbstractValue max_unsigned(const AbstractValue& a, const AbstractValue& b);
AbstractValue min_signed(const AbstractValue& a, const AbstractValue& b);
AbstractValue max_signed(const AbstractValue& a, const AbstractValue& b);
AbstractValue population_count(const AbstractValue& a);
AbstractValue count_trailing_zeros(const AbstractValue& a);  // 64 for zero
AbstractValue count_leading_zeros(const AbstractValue& a);   // 64 for zero
// (a >> lsb) & (2^width - 1); lsb < 64, width 1 to 64.
AbstractValue extract_bits(const AbstractValue& a, unsigned lsb, unsigned width);
AbstractValue extract_bits_signed(const AbstractValue& a, unsigned lsb,
                                  unsigned width);  // the top bit is the sign

}  // namespace abstract

// --- conditions ---

enum class Relation : uint8_t {
  kEqual,
  kNotEqual,
  kBelow,         // unsigned <
  kAtLeast,       // unsigned >=
  kLess,          // signed <
  kGreaterEqual,  // signed >=
  kBitsSet,       // (a & b) != 0
  kBitsClear,     // (a & b) == 0
};

Relation negate(Relation relation);

// Whether the relation holds for all pairs, for none, or for some.
enum class Truth : uint8_t { kNever, kAlways, kMaybe };
Truth evaluate(Relation relation, const AbstractValue& a, const AbstractValue& b);

// Narrows a and b to the words for which the relation can hold; false when it cannot hold at all.
[[nodiscard]] bool assume(Relation relation, AbstractValue& a, AbstractValue& b);

}  // namespace tiara::nic
