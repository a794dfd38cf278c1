// Regions: the only memory a program can name. An address is (region number, byte offset), never a pointer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "nic/isa/permission.h"

namespace tiara::nic {

// One region as bound for an invocation. Borrowed memory: the node owns it and keeps it mapped while programs
// run. `size` is in bytes; an access [offset, offset + length) must lie inside [0, size).
struct Region {
  std::byte* base = nullptr;
  uint64_t size = 0;
  Permission permission = Permission::kNone;
};

using RegionTable = std::array<Region, kMaxRegions>;

}  // namespace tiara::nic
