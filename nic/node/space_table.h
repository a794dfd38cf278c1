// The address spaces of a node: who owns which, and that nobody uses one while it goes away.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "nic/node/pool.h"
#include "nic/node/tenants.h"
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
  // An id is generation << 12 | index: a stale one names nothing for a million reuses of its slot.
  static constexpr uint32_t kIndexBits = 12;
  static constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
  static_assert(pool::kMaxSpaces == 1u << kIndexBits);

 public:
  // `pool` is borrowed and outlives the table. `data_limit` bounds what all spaces' data regions may take together.
  SpaceTable(Pool& pool, Bytes data_limit);

  // --- control path: takes a lock ---

  // What the space comes to hold counts for `tenant`, which is borrowed for ever.
  Result<AddressSpaceId> create(SessionId owner, Tenant& tenant, uint64_t max_pages);
  // Waits for invocations inside, then gives every frame back.
  Result<void> destroy(SessionId owner, AddressSpaceId id);
  // Everything that `owner` has; returns how many spaces that were.
  uint32_t destroy_all_of(SessionId owner);
  // A new space of `owner`, a copy of the pages of `source` (not of its data region). `copy` gets the indices of both
  // while nobody else uses either, and says whether it worked.
  // A clone counts in full, whatever it shares: nobody comes to exceed his quota by what somebody else writes.
  using Copy = std::function<bool(uint32_t source, uint32_t target)>;
  Result<ClonedSpace> clone(SessionId owner, AddressSpaceId source, CloneKind kind, const Copy& copy);
  // Makes `owner` the owner of a clone that still has its ticket, and spends the ticket.
  Result<void> adopt(SessionId owner, const Tenant& tenant, AddressSpaceId id, const SpaceTicket& ticket);
  // After a fork that shares the pool. The parent's table forgets the space and leaves its pages alone; the child's
  // table knows it, as a clone that waits to be adopted.
  void forget(AddressSpaceId id) noexcept;
  void inherit(const ClonedSpace& clone, Tenant& tenant);
  static constexpr uint32_t index_of(AddressSpaceId id) noexcept { return id.value & kIndexMask; }
  // Gives a space its data region: zeros, `size` bytes, once.
  Result<void> allocate_data(SessionId owner, AddressSpaceId id, Bytes size);
  uint32_t live_count() const;
  // Calls `use` while no invocation runs on any space; those that come wait. For the checker.
  void while_quiet(const std::function<void()>& use);

  // --- data path: no lock, no allocation ---

  // While a Use lives and is valid, the space stays. At most as long as one invocation.
  class Use {
   public:
    Use() = default;
    explicit Use(UseGate* gate, uint32_t index, Region data, CloneKind kind) noexcept
        : gate_(gate), index_(index), data_(data), kind_(kind) {}
    Use(Use&& other) noexcept : gate_(other.gate_), index_(other.index_), data_(other.data_), kind_(other.kind_) {
      other.gate_ = nullptr;
    }
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (gate_ != nullptr) gate_->leave();
    }
    bool is_valid() const noexcept { return gate_ != nullptr; }
    uint32_t index() const noexcept { return index_; }
    Region data() const noexcept { return data_; }  // empty when the space has none
    bool is_snapshot() const noexcept { return kind_ == CloneKind::kSnapshot; }

   private:
    UseGate* gate_ = nullptr;
    uint32_t index_ = 0;
    Region data_;
    CloneKind kind_ = CloneKind::kClone;
  };
  Use enter(SessionId user, AddressSpaceId id) noexcept;
  // After an invocation that changed what the space holds, and before it is left: makes its tenant's account right.
  void settle(uint32_t index) noexcept;

 private:
  // Fields beside the gate change only while it is closed and drained.
  struct alignas(64) Slot {
    UseGate gate;
    uint32_t generation = 0;  // of the id that is, or was last, given out
    SessionId owner;
    Tenant* tenant = nullptr;
    std::atomic<uint64_t> accounted{0};  // frames that the tenant's account has for this space, data region included
    os::Mapping data;
    CloneKind kind = CloneKind::kClone;  // of a space that was not cloned: it can be changed
    SpaceTicket ticket;                  // zeros: none
  };
  Result<uint32_t> take_slot_locked(SessionId owner, Tenant& tenant, uint64_t max_pages);
  AddressSpaceId id_of(uint32_t index) const noexcept {
    return AddressSpaceId{(*slots_)[index].generation << kIndexBits | index};
  }
  Slot* find_locked(SessionId owner, AddressSpaceId id) noexcept;
  void destroy_locked(uint32_t index) noexcept;
  static void leave_tenant_locked(Slot& slot) noexcept;
  Bytes data_of_locked(const Tenant& tenant) const noexcept;

  Pool& pool_;
  const Bytes data_limit_;
  mutable std::mutex mutex_;  // orders creation and destruction; never taken by invocations
  std::unique_ptr<std::array<Slot, pool::kMaxSpaces>> slots_;
  uint32_t live_ = 0;
  uint32_t next_ = 0;  // where the search for a free slot starts: ids are not reused at once
};

}  // namespace tiara::nic
