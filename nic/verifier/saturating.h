// Sums and products of bounds: what does not fit is "no bound that could be told".
#pragma once

#include <cstdint>

namespace tiara::nic {

constexpr uint64_t saturating_sum(uint64_t a, uint64_t b) noexcept {
  return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}
constexpr uint64_t saturating_product(uint64_t a, uint64_t b) noexcept {
  return __builtin_mul_overflow(a, b, &a) ? UINT64_MAX : a;
}

}  // namespace tiara::nic
