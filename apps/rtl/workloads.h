// What `tiara bench rtl` runs: a program, the memory that it works on, and the arguments of its n-th invocation.
#pragma once

#include <string>
#include <vector>

#include "nic/engine/region.h"
#include "nic/verifier/verified_program.h"

namespace tiara::apps::rtl {

struct Workload {
  std::string name;
  nic::VerifiedProgram program;
  std::vector<std::byte> memory;                    // 64-byte aligned views of it are what regions name
  std::vector<std::pair<uint64_t, uint64_t>> views; // {offset, size} of each region; {0, 0}: not there
  std::vector<std::vector<uint64_t>> arguments;     // of the n-th invocation, taken in turn
  uint64_t reply_bytes = 0;
  uint16_t cacheable = 0;                           // regions whose words the table cache may keep

  // Of this memory or of a copy as long.
  nic::RegionTable regions(std::vector<std::byte>& of) const;
};

// Page walks of 1 to 5 levels in three forms, a 10-hop graph walk, an uncontended lock, a gather of one 8 KiB block.
Result<std::vector<Workload>> make_workloads(uint64_t seed);

}  // namespace tiara::apps::rtl
