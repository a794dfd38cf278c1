#include "nic/node/space_table.h"

#include <atomic>
#include <sys/mman.h>
#include <sys/random.h>

#include "runtime/base/check.h"
#include "runtime/base/config.h"
#include "runtime/base/log.h"

namespace tiara::nic {
namespace {

std::unexpected<Error> unknown_space(AddressSpaceId id) {
  return fail(ErrorCode::kNotFound, "no address space " + std::to_string(id.value) + " in this session");
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
Result<uint32_t> SpaceTable::take_slot_locked(SessionId owner, uint64_t max_pages) {
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

Result<AddressSpaceId> SpaceTable::create(SessionId owner, uint64_t max_pages) {
  if (max_pages == 0 || max_pages > pool_.max_pages())
    return fail(ErrorCode::kInvalidInput, "an address space of " + std::to_string(max_pages) +
                                              " pages; this node's tables reach 1 to " +
                                              std::to_string(pool_.max_pages()));
  const std::lock_guard lock(mutex_);
  TIARA_TRY(const uint32_t index, take_slot_locked(owner, max_pages));
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
  TIARA_TRY(const uint32_t index, take_slot_locked(owner, pool_.descriptor(from_index).max_pages));
  from->gate.pause_and_drain();
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
  slot.gate.open();
  return ClonedSpace{id_of(index), ticket};
}

Result<void> SpaceTable::adopt(SessionId owner, AddressSpaceId id, const SpaceTicket& ticket) {
  const std::lock_guard lock(mutex_);
  Slot& slot = (*slots_)[id.value & kIndexMask];
  // Takes as long for a wrong ticket as for the right one.
  const uint64_t difference = (slot.ticket.words[0] ^ ticket.words[0]) | (slot.ticket.words[1] ^ ticket.words[1]);
  if (slot.gate.is_closed() || slot.generation != id.value >> kIndexBits || ticket == SpaceTicket{} || difference != 0)
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
  data_in_use_ = data_in_use_ - Bytes{slot.data.size()};
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
  const Bytes rounded{round_up(size.value, kPageSize)};
  const std::lock_guard lock(mutex_);
  Slot* slot = find_locked(owner, id);
  if (slot == nullptr) return unknown_space(id);
  if (slot->data.is_mapped()) return fail(ErrorCode::kInvalidInput, "the address space has its data region already");
  if (size.value == 0 || size > data_limit_ || rounded > data_limit_ - data_in_use_)
    return fail(ErrorCode::kResourceExhausted,
                "a data region of " + format_bytes(size) + "; the node has " +
                    format_bytes(data_limit_ - data_in_use_) + " left for data regions");
  TIARA_TRY(os::Mapping data, os::Mapping::anonymous(rounded));
  os::raw_madvise(data.data(), data.size(), MADV_DONTFORK);
  slot->gate.close_and_drain();  // invocations of this moment are refused, as they would have been before
  slot->data = std::move(data);
  data_in_use_ = data_in_use_ + rounded;
  slot->gate.open();
  return {};
}

void SpaceTable::forget(AddressSpaceId id) noexcept {
  const std::lock_guard lock(mutex_);
  Slot& slot = (*slots_)[index_of(id)];
  if (slot.gate.is_closed() || slot.generation != id.value >> kIndexBits) return;
  slot.gate.close_and_drain();
  slot.owner = {};
  slot.ticket = {};
  live_--;
}

void SpaceTable::inherit(const ClonedSpace& clone) {
  const std::lock_guard lock(mutex_);
  Slot& slot = (*slots_)[index_of(clone.space)];
  TIARA_CHECK(slot.gate.is_closed());
  slot.generation = clone.space.value >> kIndexBits;
  slot.ticket = clone.ticket;
  live_++;
  slot.gate.open();
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
