// How a node divides its workers between tenants, measured where the workers are what is scarce.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/node/measure.h"
#include "runtime/base/error.h"

namespace tiara::apps::node {

// Two tenants of equal weight, one with a single client and one with all the others, each keeping calls under way that
// only use the node's CPU.
struct Shares {
  uint64_t calls_of_one = 0, calls_of_many = 0;
  uint32_t clients_of_many = 0;
  uint64_t wrong = 0;
};
Result<Shares> measure_shares(const Options& options);

}  // namespace tiara::apps::node
