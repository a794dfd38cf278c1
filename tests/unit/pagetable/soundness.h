// What every test of a pool asks at its end: is nothing leaked, mapped twice or lost?
#pragma once

#include <catch2/catch.hpp>
#include <cstddef>
#include <span>

#include "pagetable/checker.h"

namespace tiara::pagetable {

inline CheckReport require_sound(std::span<const std::byte> pool) {
  const CheckReport report = check_pool(pool);
  for (const Defect& defect : report.defects) UNSCOPED_INFO(describe(defect));
  REQUIRE(report.is_sound());
  return report;
}

}  // namespace tiara::pagetable
