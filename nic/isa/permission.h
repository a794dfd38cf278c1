// What a program may do with a region, and how many regions it can name.
#pragma once

#include <cstdint>

namespace tiara::nic {

// The region number is a 4-bit field of the instruction word, so that the hardware's table is 16 entries.
inline constexpr uint32_t kMaxRegions = 16;

enum class Permission : uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3, kAtomic = 4, kReadWriteAtomic = 7 };

inline constexpr uint8_t kPermissionBits = 7;

constexpr bool allows(Permission granted, Permission wanted) {
  return (static_cast<uint8_t>(granted) & static_cast<uint8_t>(wanted)) == static_cast<uint8_t>(wanted);
}

}  // namespace tiara::nic
