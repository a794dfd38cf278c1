// The engine's way to other memory nodes. Hosts are small numbers that the node's configuration gives a meaning;
// regions are the program's own region numbers, bound by name on the other side, which enforces its own
// permissions and bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nic/isa/outcome.h"

namespace tiara::nic {

struct RemoteAddress {
  uint64_t host;
  uint32_t region;
  uint64_t offset;  // a multiple of 8, except for read_bytes
};

// Thread-safe, no allocation, bounded waiting. A call that returns a fault has changed nothing at the other side,
// or the host is lost (kRemoteUnavailable: unknown).
class RemotePort {
 public:
  virtual ~RemotePort() = default;
  virtual Fault load(RemoteAddress address, uint64_t& value) noexcept = 0;
  virtual Fault store(RemoteAddress address, uint64_t value) noexcept = 0;
  virtual Fault compare_and_swap(RemoteAddress address, uint64_t expected, uint64_t desired,
                                 uint64_t& old) noexcept = 0;
  virtual Fault fetch_and_add(RemoteAddress address, uint64_t addend, uint64_t& old) noexcept = 0;
  virtual Fault swap(RemoteAddress address, uint64_t desired, uint64_t& old) noexcept = 0;
  virtual Fault read_bytes(RemoteAddress address, std::span<std::byte> out) noexcept = 0;
};

}  // namespace tiara::nic
