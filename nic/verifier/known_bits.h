// Known bits (a tristate number): of each bit of a word, is it 0, 1 or unknown?
//
// Represents the set { x : (x & ~unknown) == value }. Carries what intervals cannot: alignment, masks, packed
// fields. The addition follows Vishwanathan et al., "Sound, Precise, and Fast Abstract Interpretation with
// Tristate Numbers" (CGO 2022).
#pragma once

#include <bit>
#include <cstdint>

namespace tiara::nic {

struct KnownBits {
  uint64_t value = 0;
  uint64_t unknown = ~uint64_t{0};  // disjoint from value

  static constexpr KnownBits constant(uint64_t value) { return {value, 0}; }
  static constexpr KnownBits top() { return {}; }

  // The bits that all of [low, high] have in common: their common prefix.
  static constexpr KnownBits range(uint64_t low, uint64_t high) {
    const int width = std::bit_width(low ^ high);
    const uint64_t unknown = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
    return {low & ~unknown, unknown};
  }

  constexpr bool contains(uint64_t x) const { return (x & ~unknown) == value; }
  constexpr bool is_constant() const { return unknown == 0; }
  constexpr uint64_t min() const { return value; }
  constexpr uint64_t max() const { return value | unknown; }

  // Are all numbers of `inner` in this set?
  constexpr bool includes(KnownBits inner) const {
    return (inner.unknown & ~unknown) == 0 && (inner.value & ~unknown) == value;
  }
  // False when the two sets are disjoint, and *this is then unchanged.
  constexpr bool meet(KnownBits other) {
    if ((value ^ other.value) & ~unknown & ~other.unknown) return false;
    unknown &= other.unknown;
    value = (value | other.value) & ~unknown;
    return true;
  }

  friend constexpr bool operator==(KnownBits, KnownBits) = default;
};

constexpr KnownBits join(KnownBits a, KnownBits b) {
  const uint64_t unknown = a.unknown | b.unknown | (a.value ^ b.value);
  return {a.value & ~unknown, unknown};
}

// A carry may reach every bit where the smallest and the largest sum differ.
constexpr KnownBits add(KnownBits a, KnownBits b) {
  const uint64_t smallest = a.value + b.value;
  const uint64_t unknowns = a.unknown + b.unknown;
  const uint64_t carries = (smallest + unknowns) ^ smallest;
  const uint64_t unknown = carries | a.unknown | b.unknown;
  return {smallest & ~unknown, unknown};
}

constexpr KnownBits subtract(KnownBits a, KnownBits b) {
  const uint64_t middle = a.value - b.value;
  const uint64_t borrows = (middle + a.unknown) ^ (middle - b.unknown);
  const uint64_t unknown = borrows | a.unknown | b.unknown;
  return {middle & ~unknown, unknown};
}

constexpr KnownBits bit_and(KnownBits a, KnownBits b) {
  const uint64_t value = a.value & b.value;
  return {value, a.max() & b.max() & ~value};
}

constexpr KnownBits bit_or(KnownBits a, KnownBits b) {
  const uint64_t value = a.value | b.value;
  return {value, (a.unknown | b.unknown) & ~value};
}

constexpr KnownBits bit_xor(KnownBits a, KnownBits b) {
  const uint64_t unknown = a.unknown | b.unknown;
  return {(a.value ^ b.value) & ~unknown, unknown};
}

// Shifts by a known amount, 0 to 63.
constexpr KnownBits shift_left(KnownBits a, unsigned by) { return {a.value << by, a.unknown << by}; }
constexpr KnownBits shift_right(KnownBits a, unsigned by) { return {a.value >> by, a.unknown >> by}; }
constexpr KnownBits shift_right_arithmetic(KnownBits a, unsigned by) {
  // An unknown sign is copied as unknown, a known one as known.
  return {static_cast<uint64_t>(static_cast<int64_t>(a.value) >> by),
          static_cast<uint64_t>(static_cast<int64_t>(a.unknown) >> by)};
}

// Long multiplication: one addend for each bit of `a`. Stops as soon as the rest of `a` is zero.
constexpr KnownBits multiply(KnownBits a, KnownBits b) {
  KnownBits sum = KnownBits::constant(0);
  while (a.value | a.unknown) {
    if (a.value & 1) {
      sum = add(sum, b);
    } else if (a.unknown & 1) {
      sum = add(sum, {0, b.value | b.unknown});  // either zero or b
    }
    a = shift_right(a, 1);
    b = shift_left(b, 1);
  }
  return sum;
}

}  // namespace tiara::nic
