// What engines do to memory, one definition for all of them: checked access to regions, and the bulk operations.
//
// Fault order where several apply: permission, alignment, payload or reply room, scratchpad, region bounds. A fault
// leaves memory, reply and registers as they were before the instruction.
#pragma once

#include <bit>
#include <cstring>

#include "nic/engine/engine.h"
#include "nic/isa/instruction.h"

namespace tiara::nic {

static_assert(std::endian::native == std::endian::little, "regions are little-endian and accessed in place");

// One run's memory. Lives on the engine's stack.
struct Machine {
  const RegionTable& regions;
  std::span<const std::byte> payload;
  std::span<std::byte> reply;
  RemotePort* remote;
  std::span<std::byte> scratchpad;
  uint64_t reply_bytes = 0;
  Counts counts{};

  // Runs an instruction that is neither control, arithmetic nor a plain access, on registers r[16]: bulk and
  // remote operations, payload and reply. Engines share this, so that they cannot differ.
  Fault execute(const Instruction& instruction, uint64_t* r) noexcept;

  Fault gather(uint32_t region, uint64_t offset, uint64_t length) noexcept;
  Fault gather_strided(uint32_t region, uint64_t offset, uint64_t stride, uint64_t count, uint64_t bytes) noexcept;
  Fault gather_list(uint32_t region, uint64_t offset, uint64_t list, uint64_t count, uint64_t bytes) noexcept;
  Fault scatter(uint32_t region, uint64_t offset, uint64_t from, uint64_t length) noexcept;
  Fault scatter_strided(uint32_t region, uint64_t offset, uint64_t from, uint64_t stride, uint64_t count,
                        uint64_t bytes) noexcept;
  Fault scatter_list(uint32_t region, uint64_t offset, uint64_t from, uint64_t list, uint64_t count,
                     uint64_t bytes) noexcept;
  Fault fill(uint32_t region, uint64_t offset, uint64_t length, uint64_t value) noexcept;
  Fault copy(uint32_t region, uint64_t offset, uint32_t from_region, uint64_t from, uint64_t length) noexcept;
  Fault emit(uint64_t value) noexcept;
  Fault load_payload(uint64_t offset, uint64_t& value) const noexcept;
  Fault load_line(uint32_t region, uint64_t offset, uint32_t pad) noexcept;

  Fault remote_load(uint64_t host, uint32_t region, uint64_t offset, uint64_t& value) noexcept;
  Fault remote_store(uint64_t host, uint32_t region, uint64_t offset, uint64_t value) noexcept;
  Fault remote_cas(uint64_t host, uint32_t region, uint64_t offset, uint64_t desired,
                   uint64_t& expected_in_old_out) noexcept;
  Fault remote_faa(uint64_t host, uint32_t region, uint64_t offset, uint64_t addend, uint64_t& old) noexcept;
  Fault remote_swap(uint64_t host, uint32_t region, uint64_t offset, uint64_t desired, uint64_t& old) noexcept;
  Fault remote_gather(uint64_t host, uint32_t region, uint64_t offset, uint64_t length) noexcept;
};

// Is the instruction Machine::execute()'s?
bool runs_on_machine(Opcode opcode) noexcept;

// Does [offset, offset + length) lie inside [0, size)? No overflow for any values.
constexpr bool is_inside(uint64_t offset, uint64_t length, uint64_t size) {
  return length <= size && offset <= size - length;
}

inline Fault check_access(const Region& region, Permission wanted, uint64_t offset, uint64_t length) noexcept {
  if (!allows(region.permission, wanted)) [[unlikely]] return Fault::kRegionPermission;
  if (!is_inside(offset, length, region.size)) [[unlikely]] return Fault::kRegionBounds;
  return Fault::kNone;
}

inline Fault check_atomic(const Region& region, uint64_t offset) noexcept {
  if (!allows(region.permission, Permission::kAtomic)) [[unlikely]] return Fault::kRegionPermission;
  if (offset % 8 != 0) [[unlikely]] return Fault::kMisaligned;
  if (!is_inside(offset, 8, region.size)) [[unlikely]] return Fault::kRegionBounds;
  return Fault::kNone;
}

// Naturally aligned accesses are single atomic ones (acquire loads, release stores: programs on several threads walk
// and change one table); others have no such promise. Regions themselves begin on 64-byte lines.
template <typename T>
inline T load_from(const std::byte* from) noexcept {
  if (reinterpret_cast<uintptr_t>(from) % sizeof(T) == 0) [[likely]]
    return __atomic_load_n(reinterpret_cast<const T*>(from), __ATOMIC_ACQUIRE);
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
inline void store_to(std::byte* to, T value) noexcept {
  if (reinterpret_cast<uintptr_t>(to) % sizeof(T) == 0) [[likely]]
    __atomic_store_n(reinterpret_cast<T*>(to), value, __ATOMIC_RELEASE);
  else
    memcpy(to, &value, sizeof value);
}

}  // namespace tiara::nic
