#include "nic/node/space_table.h"

#include <algorithm>
#include <atomic>
#include <sys/mman.h>
#include <sys/random.h>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/config.h"
#include "runtime/base/log.h"

namespace tiara::nic {
namespace {

std::unexpected<Error> unknown_space(AddressSpaceId id) {
  return fail(ErrorCode::kNotFound, "no address space " + std::to_string(id.value) + " in this session");
}

// Others who settle the same space may be at it; each makes right what it has overwritten.
constexpr int kSettleTries = 8;

struct HeldFrames {
  Tenant& tenant;
  PageCount frames;
  ~HeldFrames() { tenant.release(frames); }
};

// Frames that the space reaches, shared ones included. Relaxed: operators change both words.
uint64_t frames_of(const pool::SpaceDescriptor& space) noexcept {
  const auto read = [](const uint64_t& word) {
    return std::atomic_ref(const_cast<uint64_t&>(word)).load(std::memory_order_relaxed);
  };
  return read(space.pages) + read(space.tables);
}

std::unexpected<Error> beyond_quota(const char* what, Bytes size, const Tenant& tenant) {
  return fail(ErrorCode::kResourceExhausted, std::string(what) + " of " + format_bytes(size) +
                                                 " is beyond the quota of tenant " + tenant.config().name);
}

std::unexpected<Error> no_room_for_data(Bytes size, Bytes left) {
  return fail(ErrorCode::kResourceExhausted, "a data region of " + format_bytes(size) + "; the node has " +
                                                 format_bytes(left) + " left for data regions");
}

void make_live(pool::SpaceDescriptor& space) noexcept {
  std::atomic_ref<uint64_t>(space.state)
      .store(static_cast<uint64_t>(pool::SpaceState::kLive), std::memory_order_release);
}

}  // namespace

SpaceTable::SpaceTable(Pool& pool, Bytes data_limit)
    : pool_(pool), data_limit_(data_limit), slots_(std::make_unique<std::array<Slot, pool::kMaxSpaces>>()) {}

// The slot is closed still. Descriptors are taken by compare-and-swap: processes that share a pool after a fork have
// tables of their own over it.
Result<uint32_t> SpaceTable::take_slot_locked(SessionId owner, Tenant& tenant, uint64_t max_pages) {
  const uint32_t most = tenant.limits().spaces;
  if (most < pool::kMaxSpaces && tenant.spaces.load(std::memory_order_relaxed) >= most)
    return fail(ErrorCode::kResourceExhausted, "tenant " + tenant.config().name + " has its " +
                                                   std::to_string(most) +
                                                   " address spaces; end a program or start another node");
  uint32_t index = next_;
  for (uint32_t looked = 0;; looked++, index = (index + 1) & kIndexMask) {
    if (looked == pool::kMaxSpaces)
      return fail(ErrorCode::kResourceExhausted, "the node serves all of its " + std::to_string(looked) +
                                                     " address spaces; end a program or start another node");
    if (!(*slots_)[index].gate.is_closed()) continue;
    auto expected = static_cast<uint64_t>(pool::SpaceState::kFree);
    // Acquire: pairs with the release of Pool::release_tree. Not live before somebody owns it: PoolFamily::reap in
    // another process would take a live space that nobody has locked for one whose process has ended.
    if (std::atomic_ref<uint64_t>(pool_.descriptor(index).state)
            .compare_exchange_strong(expected, static_cast<uint64_t>(pool::SpaceState::kHandedOver),
                                     std::memory_order_acquire))
      break;
  }
  next_ = (index + 1) & kIndexMask;
  Slot& slot = (*slots_)[index];
  slot.generation = (slot.generation + 1) & (UINT32_MAX >> kIndexBits);
  if (slot.generation == 0) slot.generation = 1;  // an id is never 0
  slot.owner = owner;
  slot.tenant = &tenant;
  tenant.spaces.fetch_add(1, std::memory_order_relaxed);
  slot.kind = CloneKind::kClone;
  slot.ticket = {};
  pool_.descriptor(index) = {.root = 0,
                             .levels = pool_.levels(),
                             .max_pages = max_pages,
                             .pages = 0,
                             .tables = 0,
                             .state = static_cast<uint64_t>(pool::SpaceState::kHandedOver),
                             .generation = 0,
                             .self = pool::descriptor_offset(index)};
  live_++;
  return index;
}

Result<AddressSpaceId> SpaceTable::create(SessionId owner, Tenant& tenant, uint64_t max_pages) {
  if (max_pages == 0 || max_pages > pool_.max_pages())
    return fail(ErrorCode::kInvalidInput, "an address space of " + std::to_string(max_pages) +
                                              " pages; this node's tables reach 1 to " +
                                              std::to_string(pool_.max_pages()));
  const std::lock_guard lock(mutex_);
  TIARA_TRY(const uint32_t index, take_slot_locked(owner, tenant, max_pages));
  make_live(pool_.descriptor(index));
  (*slots_)[index].gate.open();
  return id_of(index);
}

Result<ClonedSpace> SpaceTable::clone(SessionId owner, AddressSpaceId source, CloneKind kind, const Copy& copy) {
  SpaceTicket ticket;
  if (getrandom(ticket.words, sizeof ticket.words, 0) != sizeof ticket.words)
    return std::unexpected(system_error("getrandom", "for the ticket of a cloned address space"));
  const std::lock_guard lock(mutex_);
  Slot* const from = find_locked(owner, source);
  if (from == nullptr) return unknown_space(source);
  const uint32_t from_index = source.value & kIndexMask;
  Tenant& tenant = *from->tenant;
  from->gate.pause_and_drain();
  const PageCount size{frames_of(pool_.descriptor(from_index))};
  if (!tenant.try_hold(size)) {
    from->gate.resume();
    return beyond_quota("a clone", size.bytes(), tenant);
  }
  const HeldFrames held{tenant, size};
  const auto taken = take_slot_locked(owner, tenant, pool_.descriptor(from_index).max_pages);
  if (!taken) {
    from->gate.resume();
    return std::unexpected(taken.error());
  }
  const uint32_t index = *taken;
  const bool is_copied = copy(from_index, index);
  from->gate.resume();
  Slot& slot = (*slots_)[index];
  if (!is_copied) {
    slot.gate.open();  // as destroy_locked expects it
    destroy_locked(index);
    return fail(ErrorCode::kUnsupported, "the node cannot clone address spaces; run a node of this version of tiara");
  }
  slot.kind = kind;
  slot.ticket = ticket;
  settle(index);
  slot.gate.open();
  return ClonedSpace{id_of(index), ticket};
}

Result<void> SpaceTable::adopt(SessionId owner, const Tenant& tenant, AddressSpaceId id, const SpaceTicket& ticket) {
  const std::lock_guard lock(mutex_);
  Slot& slot = (*slots_)[id.value & kIndexMask];
  // Takes as long for a wrong ticket as for the right one.
  const uint64_t difference = (slot.ticket.words[0] ^ ticket.words[0]) | (slot.ticket.words[1] ^ ticket.words[1]);
  if (slot.gate.is_closed() || slot.generation != id.value >> kIndexBits || ticket == SpaceTicket{} ||
      difference != 0 || slot.tenant != &tenant)
    return fail(ErrorCode::kNoPermission,
                "no address space " + std::to_string(id.value) + " waits to be adopted with this ticket");
  slot.gate.pause_and_drain();
  slot.owner = owner;
  slot.ticket = {};
  make_live(pool_.descriptor(id.value & kIndexMask));
  slot.gate.resume();
  return {};
}

SpaceTable::Slot* SpaceTable::find_locked(SessionId owner, AddressSpaceId id) noexcept {
  Slot& slot = (*slots_)[id.value & kIndexMask];
  const bool is_it = !slot.gate.is_closed() && slot.owner == owner && slot.generation == id.value >> kIndexBits;
  return is_it ? &slot : nullptr;
}

void SpaceTable::destroy_locked(uint32_t index) noexcept {
  Slot& slot = (*slots_)[index];
  slot.gate.close_and_drain();
  const Pool::Released released = pool_.release_tree(pool_.descriptor(index));
  if (released.bad_entries != 0)
    LogLine("address space ").number(index).text(" had ").number(released.bad_entries)
        .text(" table entries that point nowhere; frames may be lost").write();
  leave_tenant_locked(slot);
  slot.data.reset();
  slot.owner = {};
  live_--;
}

Result<void> SpaceTable::destroy(SessionId owner, AddressSpaceId id) {
  const std::lock_guard lock(mutex_);
  if (find_locked(owner, id) == nullptr) return unknown_space(id);
  destroy_locked(id.value & kIndexMask);
  return {};
}

uint32_t SpaceTable::destroy_all_of(SessionId owner) {
  const std::lock_guard lock(mutex_);
  uint32_t destroyed = 0;
  for (uint32_t index = 0; index < pool::kMaxSpaces && live_ != 0; index++) {
    Slot& slot = (*slots_)[index];
    if (slot.gate.is_closed() || slot.owner != owner) continue;
    destroy_locked(index);
    destroyed++;
  }
  return destroyed;
}

Result<void> SpaceTable::allocate_data(SessionId owner, AddressSpaceId id, Bytes size) {
  if (size > data_limit_) return no_room_for_data(size, data_limit_);  // before it is rounded: that could wrap
  const Bytes rounded{round_up(size.value, kPageSize)};
  const PageCount pages{rounded.value >> kPageShift};
  const std::lock_guard lock(mutex_);
  Slot* slot = find_locked(owner, id);
  if (slot == nullptr) return unknown_space(id);
  if (slot->data.is_mapped()) return fail(ErrorCode::kInvalidInput, "the address space has its data region already");
  Tenant& tenant = *slot->tenant;
  const Bytes left = tenant.limits().data - std::min(tenant.limits().data, data_of_locked(tenant));
  if (size.value == 0 || rounded > left) return no_room_for_data(size, left);
  if (!tenant.try_hold(pages)) return beyond_quota("a data region", rounded, tenant);
  const HeldFrames held{tenant, pages};
  TIARA_TRY(os::Mapping data, os::Mapping::anonymous(rounded));
  os::raw_madvise(data.data(), data.size(), MADV_DONTFORK);
  slot->gate.close_and_drain();  // invocations of this moment are refused, as they would have been before
  slot->data = std::move(data);
  settle(id.value & kIndexMask);
  slot->gate.open();
  return {};
}

void SpaceTable::forget(AddressSpaceId id) noexcept {
  const std::lock_guard lock(mutex_);
  Slot& slot = (*slots_)[index_of(id)];
  if (slot.gate.is_closed() || slot.generation != id.value >> kIndexBits) return;
  slot.gate.close_and_drain();
  leave_tenant_locked(slot);
  slot.owner = {};
  slot.ticket = {};
  live_--;
}

void SpaceTable::inherit(const ClonedSpace& clone, Tenant& tenant) {
  const std::lock_guard lock(mutex_);
  Slot& slot = (*slots_)[index_of(clone.space)];
  TIARA_CHECK(slot.gate.is_closed());
  slot.generation = clone.space.value >> kIndexBits;
  slot.ticket = clone.ticket;
  slot.tenant = &tenant;
  tenant.spaces.fetch_add(1, std::memory_order_relaxed);
  settle(index_of(clone.space));
  live_++;
  slot.gate.open();
}

void SpaceTable::while_quiet(const std::function<void()>& use) {
  const std::lock_guard lock(mutex_);
  std::vector<UseGate*> paused;
  for (Slot& slot : *slots_) {
    if (slot.gate.is_closed()) continue;
    slot.gate.pause_and_drain();
    paused.push_back(&slot.gate);
  }
  use();
  for (UseGate* const gate : paused) gate->resume();
}

void SpaceTable::settle(uint32_t index) noexcept {
  Slot& slot = (*slots_)[index];
  const pool::SpaceDescriptor& space = pool_.descriptor(index);
  const uint64_t data = slot.data.size() >> kPageShift;
  for (int tries = 0; tries < kSettleTries; tries++) {
    const uint64_t now = frames_of(space) + data;
    // Acquire and release: whoever overwrites a newer figure with an older one sees below what the newer one saw.
    const uint64_t before = slot.accounted.exchange(now, std::memory_order_acq_rel);
    if (now != before) slot.tenant->account(static_cast<int64_t>(now - before));
    if (frames_of(space) + data == now) return;
  }
}

// What the slot's tenant has for it is nobody's any more.
void SpaceTable::leave_tenant_locked(Slot& slot) noexcept {
  slot.tenant->account(-static_cast<int64_t>(slot.accounted.exchange(0, std::memory_order_relaxed)));
  slot.tenant->spaces.fetch_sub(1, std::memory_order_relaxed);
}

Bytes SpaceTable::data_of_locked(const Tenant& tenant) const noexcept {
  Bytes sum;
  for (const Slot& slot : *slots_)
    if (!slot.gate.is_closed() && slot.tenant == &tenant) sum = sum + Bytes{slot.data.size()};
  return sum;
}

uint32_t SpaceTable::live_count() const {
  const std::lock_guard lock(mutex_);
  return live_;
}

SpaceTable::Use SpaceTable::enter(SessionId user, AddressSpaceId id) noexcept {
  const uint32_t index = id.value & kIndexMask;
  Slot& slot = (*slots_)[index];
  if (!slot.gate.try_enter()) return {};
  if (slot.owner != user || slot.generation != id.value >> kIndexBits) {
    slot.gate.leave();
    return {};
  }
  return Use(&slot.gate, index, {slot.data.data(), slot.data.size(),
                                 slot.data.is_mapped() ? Permission::kReadWriteAtomic : Permission::kNone},
             slot.kind);
}

}  // namespace tiara::nic
