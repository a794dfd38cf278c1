// The checksum of what travels: XXH3 of everything before it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/hash.h"

namespace tiara::nic::wire {

// Of a structure as it stands in memory, whose last member is `checksum`.
template <typename Raw>
uint64_t checksum_of(const Raw& raw) noexcept {
  static_assert(offsetof(Raw, checksum) + sizeof raw.checksum == sizeof(Raw));
  return hash_bytes({reinterpret_cast<const std::byte*>(&raw), offsetof(Raw, checksum)});
}

}  // namespace tiara::nic::wire
