// Regions: the only memory a program can name. An address is (region number, byte offset), never a pointer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tiara::nic {

// The region number is a 4-bit field of the instruction word, so that the hardware's table is 16 entries.
inline constexpr uint32_t kMaxRegions = 16;

enum class Permission : uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3, kAtomic = 4, kReadWriteAtomic = 7 };

constexpr bool allows(Permission granted, Permission wanted) {
  return (static_cast<uint8_t>(granted) & static_cast<uint8_t>(wanted)) == static_cast<uint8_t>(wanted);
}

// One region as bound for an invocation. Borrowed memory: the node owns it and keeps it mapped while programs
// run. `size` is in bytes; an access [offset, offset + length) must lie inside [0, size).
struct Region {
  std::byte* base = nullptr;
  uint64_t size = 0;
  Permission permission = Permission::kNone;
};

using RegionTable = std::array<Region, kMaxRegions>;

}  // namespace tiara::nic
