// The address spaces of a node: who owns which, and that nobody uses one while it goes away.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>

#include "nic/node/pool.h"
#include "nic/node/use_gate.h"
#include "nic/wire/types.h"
#include "runtime/base/error.h"

namespace tiara::nic {

// One connection's identity on the node; never reused.
struct SessionId {
  uint64_t value = 0;
  friend constexpr bool operator==(SessionId, SessionId) = default;
};

class SpaceTable {
 public:
  // `pool` is borrowed and outlives the table. `data_limit` bounds what all spaces' data regions may take together.
  SpaceTable(Pool& pool, Bytes data_limit);

  // --- control path: takes a lock ---

  Result<AddressSpaceId> create(SessionId owner, uint64_t max_pages);
  // Waits for invocations inside, then gives every frame back.
  Result<void> destroy(SessionId owner, AddressSpaceId id);
  // Everything that `owner` has; returns how many spaces that were.
  uint32_t destroy_all_of(SessionId owner);
  // Gives a space its data region: zeros, `size` bytes, once.
  Result<void> allocate_data(SessionId owner, AddressSpaceId id, Bytes size);
  uint32_t live_count() const;

  // --- data path: no lock, no allocation ---

  // While a Use lives and is valid, the space stays. At most as long as one invocation.
  class Use {
   public:
    Use() = default;
    explicit Use(UseGate* gate, uint32_t index, Region data) noexcept : gate_(gate), index_(index), data_(data) {}
    Use(Use&& other) noexcept : gate_(other.gate_), index_(other.index_), data_(other.data_) { other.gate_ = nullptr; }
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (gate_ != nullptr) gate_->leave();
    }
    bool is_valid() const noexcept { return gate_ != nullptr; }
    uint32_t index() const noexcept { return index_; }
    Region data() const noexcept { return data_; }  // empty when the space has none

   private:
    UseGate* gate_ = nullptr;
    uint32_t index_ = 0;
    Region data_;
  };
  Use enter(SessionId user, AddressSpaceId id) noexcept;

 private:
  // Fields beside the gate change only while it is closed and drained.
  struct alignas(64) Slot {
    UseGate gate;
    uint32_t generation = 0;  // of the id that is, or was last, given out
    SessionId owner;
    os::Mapping data;
  };
  // An id is generation << 12 | index: a stale one names nothing for a million reuses of its slot.
  static constexpr uint32_t kIndexBits = 12;
  static constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
  static_assert(pool::kMaxSpaces == 1u << kIndexBits);

  Slot* find_locked(SessionId owner, AddressSpaceId id) noexcept;
  void destroy_locked(uint32_t index) noexcept;

  Pool& pool_;
  const Bytes data_limit_;
  mutable std::mutex mutex_;  // orders creation and destruction; never taken by invocations
  std::unique_ptr<std::array<Slot, pool::kMaxSpaces>> slots_;
  uint32_t live_ = 0;
  uint32_t next_ = 0;  // where the search for a free slot starts: ids are not reused at once
  Bytes data_in_use_;
};

}  // namespace tiara::nic
