// The pages that an eviction owns, cluster by cluster: who holds them decides alone what becomes of them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

#include "fault-handler/page_directory.h"
#include "runtime/base/units.h"
#include "runtime/residency/resident_order.h"

namespace tiara::residency {

constexpr uint64_t bit_at(uint32_t position) { return uint64_t{1} << position; }
// Bits [from, to), to <= 64.
constexpr uint64_t bits_between(uint32_t from, uint32_t to) {
  return to <= from ? 0 : (~uint64_t{0} << from) & (to == 64 ? ~uint64_t{0} : (uint64_t{1} << to) - 1);
}

struct ClusterClaims {
  fault::ClusterNumber cluster;
  ResidentOrder::Queue from = ResidentOrder::Queue::kMain;  // where it stood when its turn came
  PageNumber first;
  uint64_t leaving = 0;  // positions of resident pages to evict
  uint64_t staying = 0;  // resident pages that stay, owned so that one kernel call can span them
  uint64_t holes = 0;    // absent pages, owned so that nobody maps them meanwhile
  uint64_t frozen = 0;   // those of all of them that nobody can write to now (CopyOut::freeze)
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

// Neighbouring clusters that leave in one step, in ascending order. One kernel call may span their borders.
using ClaimedSpan = std::span<ClusterClaims>;
constexpr uint32_t kMostSpanClusters = 64;  // bounds the evictor's arrays, which lie on signal stacks

// Calls f(first page, pages) for each run of neighbouring pages among positions(claims), across clusters, cut to the
// first and the last of needed(claims) in it; runs without one are left out.
template <typename Positions, typename Needed, typename F>
void for_each_run(std::span<const ClusterClaims> span, Positions positions, Needed needed, F f) {
  PageNumber end{UINT64_MAX};  // of the run that is being collected
  PageNumber first_needed{}, end_needed{};
  bool is_needed = false;
  const auto finish = [&] {
    if (is_needed) f(first_needed, static_cast<uint32_t>((end_needed - first_needed).value));
    is_needed = false;
  };
  for (const ClusterClaims& claims : span) {
    const uint64_t wanted = needed(claims);
    ClusterClaims::for_each_run(positions(claims), ~uint64_t{0}, [&](uint32_t from, uint32_t to) {
      if (claims.page(from) != end) finish();
      end = claims.page(to);
      const uint64_t here = wanted & bits_between(from, to);
      if (here == 0) return;
      if (!is_needed) first_needed = claims.page(static_cast<uint32_t>(std::countr_zero(here)));
      end_needed = claims.page(64 - static_cast<uint32_t>(std::countl_zero(here)));
      is_needed = true;
    });
  }
  finish();
}

}  // namespace tiara::residency
