// The pages of one cluster that an eviction owns: who holds them decides alone what becomes of them.
#pragma once

#include <bit>
#include <cstdint>

#include "fault-handler/page_directory.h"
#include "runtime/base/units.h"

namespace tiara::residency {

constexpr uint64_t bit_at(uint32_t position) { return uint64_t{1} << position; }
// Bits [from, to), to <= 64.
constexpr uint64_t bits_between(uint32_t from, uint32_t to) {
  return to <= from ? 0 : (~uint64_t{0} << from) & (to == 64 ? ~uint64_t{0} : (uint64_t{1} << to) - 1);
}

struct ClusterClaims {
  fault::ClusterNumber cluster;
  PageNumber first;
  uint64_t leaving = 0;  // positions of resident pages to evict
  uint64_t staying = 0;  // resident pages that stay, owned so that one kernel call can span them
  uint64_t holes = 0;    // absent pages, owned so that nobody maps them meanwhile
  fault::PageWord owned[64];

  uint64_t all() const { return leaving | staying | holes; }
  PageNumber page(uint32_t position) const { return first + PageCount{position}; }

  // Calls f(position) for each of the positions, in ascending order.
  template <typename F>
  static void for_each(uint64_t positions, F f) {
    for (; positions != 0; positions &= positions - 1) f(static_cast<uint32_t>(std::countr_zero(positions)));
  }
  // Calls f(at, end) for each run of neighbours among `positions`, cut to the first and the last of `needed` in it;
  // runs without one are left out.
  template <typename F>
  static void for_each_run(uint64_t positions, uint64_t needed, F f) {
    while ((positions & needed) != 0) {
      const auto from = static_cast<uint32_t>(std::countr_zero(positions));
      const uint32_t to = from + static_cast<uint32_t>(std::countr_one(positions >> from));
      const uint64_t run = bits_between(from, to);
      if (const uint64_t wanted = run & needed; wanted != 0)
        f(static_cast<uint32_t>(std::countr_zero(wanted)), 64 - static_cast<uint32_t>(std::countl_zero(wanted)));
      positions &= ~run;
    }
  }
};

}  // namespace tiara::residency
