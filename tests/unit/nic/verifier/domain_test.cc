// The domain's soundness by sampling: sets of words are abstracted, the operation is done on both sides, and
// each concrete result must lie in the abstract one. Sets are small and made of awkward words, so that
// intervals with holes, seams of both orders and mixed bits all occur.
#include "nic/verifier/domain.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <random>
#include <vector>

namespace tiara::nic {
namespace {

using Words = std::vector<uint64_t>;

class Sampler {
 public:
  explicit Sampler(uint64_t seed) : random_(seed) {}

  uint64_t word() {
    const uint64_t raw = random_();
    switch (random_() % 7) {
      case 0: return raw % 17;
      case 1: return raw % 65536;
      case 2: return raw;
      case 3: return raw >> (random_() % 64);
      case 4: return uint64_t{1} << (raw % 64);
      case 5: return (uint64_t{1} << (raw % 64)) - 1 + random_() % 3;
      default: return ~uint64_t{0} - raw % 17;
    }
  }
  // One to five words; sometimes near each other, sometimes multiples of a power of two.
  Words set() {
    Words words = {word()};
    const uint64_t count = random_() % 5;
    const uint64_t kind = random_() % 3;
    for (uint64_t i = 0; i < count; ++i) {
      if (kind == 0) words.push_back(word());
      if (kind == 1) words.push_back(words[0] + random_() % 9);
      if (kind == 2) words.push_back(words[0] ^ (random_() & 0xf0));
    }
    return words;
  }

 private:
  std::mt19937_64 random_;
};

AbstractValue abstraction(const Words& words) {
  AbstractValue value = AbstractValue::constant(words[0]);
  for (const uint64_t word : words) value = join(value, AbstractValue::constant(word));
  return value;
}

// Members that are in the abstract value without having been put there.
Words with_more_members(const AbstractValue& value, Words words, Sampler& sampler) {
  for (int i = 0; i < 6; ++i) {
    const uint64_t spread = value.bits().value | (sampler.word() & value.bits().unknown);
    if (value.contains(spread)) words.push_back(spread);
  }
  for (const uint64_t bound : {value.umin(), value.umax(), static_cast<uint64_t>(value.smin()),
                               static_cast<uint64_t>(value.smax())}) {
    if (value.contains(bound)) words.push_back(bound);
  }
  return words;
}

struct Binary {
  const char* name;
  AbstractValue (*abstract)(const AbstractValue&, const AbstractValue&);
  uint64_t (*concrete)(uint64_t, uint64_t);
};

int64_t as_signed(uint64_t x) { return static_cast<int64_t>(x); }

const Binary kBinaries[] = {
    {"add", abstract::add, [](uint64_t a, uint64_t b) { return a + b; }},
    {"subtract", abstract::subtract, [](uint64_t a, uint64_t b) { return a - b; }},
    {"multiply", abstract::multiply, [](uint64_t a, uint64_t b) { return a * b; }},
    {"divide", abstract::divide_unsigned, [](uint64_t a, uint64_t b) { return b ? a / b : ~uint64_t{0}; }},
    {"remainder", abstract::remainder_unsigned, [](uint64_t a, uint64_t b) { return b ? a % b : a; }},
    {"and", abstract::bit_and, [](uint64_t a, uint64_t b) { return a & b; }},
    {"or", abstract::bit_or, [](uint64_t a, uint64_t b) { return a | b; }},
    {"xor", abstract::bit_xor, [](uint64_t a, uint64_t b) { return a ^ b; }},
    {"shift left", abstract::shift_left, [](uint64_t a, uint64_t b) { return a << (b % 64); }},
    {"shift right", abstract::shift_right, [](uint64_t a, uint64_t b) { return a >> (b % 64); }},
    {"shift right arithmetic", abstract::shift_right_arithmetic,
     [](uint64_t a, uint64_t b) { return static_cast<uint64_t>(as_signed(a) >> (b % 64)); }},
    {"min", abstract::min_unsigned, [](uint64_t a, uint64_t b) { return std::min(a, b); }},
    {"max", abstract::max_unsigned, [](uint64_t a, uint64_t b) { return std::max(a, b); }},
    {"min signed", abstract::min_signed,
     [](uint64_t a, uint64_t b) { return static_cast<uint64_t>(std::min(as_signed(a), as_signed(b))); }},
    {"max signed", abstract::max_signed,
     [](uint64_t a, uint64_t b) { return static_cast<uint64_t>(std::max(as_signed(a), as_signed(b))); }},
};

const Binary kUnaries[] = {
    // the second operand is ignored
    {"popcount", [](const AbstractValue& a, const AbstractValue&) { return abstract::population_count(a); },
     [](uint64_t a, uint64_t) { return static_cast<uint64_t>(std::popcount(a)); }},
    {"ctz", [](const AbstractValue& a, const AbstractValue&) { return abstract::count_trailing_zeros(a); },
     [](uint64_t a, uint64_t) { return static_cast<uint64_t>(std::countr_zero(a)); }},
    {"clz", [](const AbstractValue& a, const AbstractValue&) { return abstract::count_leading_zeros(a); },
     [](uint64_t a, uint64_t) { return static_cast<uint64_t>(std::countl_zero(a)); }},
    {"bits 9..17",
     [](const AbstractValue& a, const AbstractValue&) { return abstract::extract_bits(a, 9, 9); },
     [](uint64_t a, uint64_t) { return (a >> 9) & 511; }},
    {"signed bits 0..31",
     [](const AbstractValue& a, const AbstractValue&) { return abstract::extract_bits_signed(a, 0, 32); },
     [](uint64_t a, uint64_t) {
       return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(a)));
     }},
};

void check_soundness(const Binary& operation, uint64_t seed, int rounds) {
  INFO(operation.name << ", seed " << seed);
  Sampler sampler(seed);
  for (int round = 0; round < rounds; ++round) {
    const Words left = sampler.set();
    const Words right = sampler.set();
    const AbstractValue a = abstraction(left);
    const AbstractValue b = abstraction(right);
    const AbstractValue result = operation.abstract(a, b);
    for (const uint64_t x : with_more_members(a, left, sampler)) {
      for (const uint64_t y : with_more_members(b, right, sampler)) {
        if (result.contains(operation.concrete(x, y))) continue;
        FAIL(x << " op " << y << " = " << operation.concrete(x, y) << " is not in " << result.describe()
               << " from " << a.describe() << " and " << b.describe());
      }
    }
  }
}

bool holds(Relation relation, uint64_t a, uint64_t b) {
  switch (relation) {
    case Relation::kEqual: return a == b;
    case Relation::kNotEqual: return a != b;
    case Relation::kBelow: return a < b;
    case Relation::kAtLeast: return a >= b;
    case Relation::kLess: return as_signed(a) < as_signed(b);
    case Relation::kGreaterEqual: return as_signed(a) >= as_signed(b);
    case Relation::kBitsSet: return (a & b) != 0;
    case Relation::kBitsClear: return (a & b) == 0;
  }
  return false;
}

constexpr Relation kRelations[] = {Relation::kEqual,   Relation::kNotEqual, Relation::kBelow,
                                   Relation::kAtLeast, Relation::kLess,     Relation::kGreaterEqual,
                                   Relation::kBitsSet, Relation::kBitsClear};

}  // namespace

TEST_CASE("every transfer function contains every concrete result") {
  uint64_t seed = 1;
  for (const Binary& operation : kBinaries) check_soundness(operation, seed++, 3000);
  for (const Binary& operation : kUnaries) check_soundness(operation, seed++, 3000);
}

TEST_CASE("transfer functions are exact on constants") {
  Sampler sampler(7);
  for (const Binary& operation : kBinaries) {
    for (int round = 0; round < 300; ++round) {
      const uint64_t x = sampler.word();
      const uint64_t y = sampler.word();
      const AbstractValue result = operation.abstract(AbstractValue::constant(x), AbstractValue::constant(y));
      INFO(operation.name << " of " << x << " and " << y << " gave " << result.describe());
      REQUIRE(result.is_constant());
      REQUIRE(result.contains(operation.concrete(x, y)));
    }
  }
}

TEST_CASE("transfer functions are sound on all pairs of intervals of small words") {
  for (const Binary& operation : kBinaries) {
    for (uint64_t low = 0; low < 12; ++low) {
      for (uint64_t high = low; high < 12; high += 3) {
        for (uint64_t other = 0; other < 9; ++other) {
          const AbstractValue a = AbstractValue::range(low, high);
          const AbstractValue b = AbstractValue::range(other, other + 2);
          const AbstractValue result = operation.abstract(a, b);
          for (uint64_t x = low; x <= high; ++x) {
            for (uint64_t y = other; y <= other + 2; ++y) {
              if (!result.contains(operation.concrete(x, y))) FAIL(operation.name << " " << x << " " << y);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("assuming a relation keeps every pair for which it holds") {
  Sampler sampler(11);
  for (int round = 0; round < 20000; ++round) {
    const Words left = sampler.set();
    const Words right = sampler.set();
    const AbstractValue a = abstraction(left);
    const AbstractValue b = abstraction(right);
    const Words xs = with_more_members(a, left, sampler);
    const Words ys = with_more_members(b, right, sampler);
    for (const Relation relation : kRelations) {
      AbstractValue narrowed_a = a;
      AbstractValue narrowed_b = b;
      const bool possible = assume(relation, narrowed_a, narrowed_b);
      const Truth truth = evaluate(relation, a, b);
      for (const uint64_t x : xs) {
        for (const uint64_t y : ys) {
          if (!holds(relation, x, y)) {
            if (truth == Truth::kAlways) FAIL("always, but not for " << x << ", " << y);
            continue;
          }
          if (!possible || truth == Truth::kNever) FAIL("never, but for " << x << ", " << y);
          if (!narrowed_a.contains(x) || !narrowed_b.contains(y)) {
            FAIL("relation " << int(relation) << " lost " << x << ", " << y);
          }
        }
      }
    }
  }
}

TEST_CASE("join and meet contain what they must, and join is an upper bound") {
  Sampler sampler(13);
  for (int round = 0; round < 20000; ++round) {
    const Words left = sampler.set();
    const Words right = sampler.set();
    const AbstractValue a = abstraction(left);
    const AbstractValue b = abstraction(right);
    const AbstractValue joined = join(a, b);
    CHECK(joined.includes(a));
    CHECK(joined.includes(b));
    const auto common = a.meet(b);
    for (const uint64_t x : with_more_members(a, left, sampler)) {
      if (b.contains(x)) REQUIRE((common && common->contains(x)));
    }
  }
}

TEST_CASE("a chain of widenings ends soon") {
  Sampler sampler(17);
  for (int round = 0; round < 2000; ++round) {
    AbstractValue value = abstraction(sampler.set());
    int steps = 0;
    for (int i = 0; i < 500; ++i) {
      const AbstractValue grown = join(value, abstraction(sampler.set()));
      if (value.includes(grown)) continue;
      const AbstractValue wider = widen(value, grown);
      REQUIRE(wider.includes(grown));
      REQUIRE(wider.includes(value));
      REQUIRE(!(wider == value));
      value = wider;
      ++steps;
    }
    // 5 thresholds up, 1 down, 2 and 2 signed, 64 bits: far below in practice.
    REQUIRE(steps <= 80);
  }
}

TEST_CASE("reduction lets the parts learn from each other") {
  const AbstractValue low = AbstractValue::range(0, 4095);
  CHECK(low.bits().unknown == 4095);
  CHECK(low.smin() == 0);
  const AbstractValue aligned = abstract::shift_left(low, AbstractValue::constant(3));
  CHECK(aligned.umax() == 4095 * 8);
  CHECK(aligned.alignment_log2() == 3);
  AbstractValue nonzero = aligned;
  AbstractValue zero = AbstractValue::constant(0);
  REQUIRE(assume(Relation::kNotEqual, nonzero, zero));
  CHECK(nonzero.umin() == 8);  // the next multiple of 8
  const AbstractValue negative = AbstractValue::signed_range(-8, -1);
  CHECK(negative.umin() == ~uint64_t{7});
  CHECK(abstract::extract_bits(AbstractValue::top(), 9, 9).umax() == 511);
}

TEST_CASE("values are described in words") {
  CHECK(AbstractValue::constant(7).describe() == "7");
  CHECK(AbstractValue::range(0, 100, Origin::kArgument).describe() == "[0, 100] (from argument)");
  CHECK(AbstractValue::top(Origin::kLoaded).describe() == "any value (from memory)");
}

}  // namespace tiara::nic
