#include "nic/node/pool_family.h"

#include <atomic>
#include <cerrno>
#include <fcntl.h>

namespace tiara::nic {
namespace {

using pool::SpaceState;

struct flock byte_at(uint32_t index) noexcept {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = index;
  lock.l_len = 1;
  return lock;
}

}  // namespace

bool PoolFamily::change_state(uint32_t index, SpaceState from, SpaceState to) noexcept {
  auto expected = static_cast<uint64_t>(from);
  // Acquire and release: who takes a space over, or back, sees what its last owner did.
  return std::atomic_ref<uint64_t>(pool_.descriptor(index).state)
      .compare_exchange_strong(expected, static_cast<uint64_t>(to), std::memory_order_acq_rel);
}

Result<void> PoolFamily::claim(uint32_t index) noexcept {
  struct flock lock = byte_at(index);
  if (fcntl(pool_.descriptor_of_memory(), F_SETLK, &lock) != 0)
    return std::unexpected(system_error("fcntl(F_SETLK)", "the pool, for an address space"));
  return {};
}

Result<void> PoolFamily::take_over(uint32_t index) noexcept {
  // Locked before it is live: nobody may find it live and unlocked.
  TIARA_TRY_VOID(claim(index));
  if (!change_state(index, SpaceState::kHandedOver, SpaceState::kLive))
    return fail(ErrorCode::kUnavailable, "the parent gave up waiting for this child");
  return {};
}

void PoolFamily::give_up_child(uint32_t index) noexcept {
  if (!change_state(index, SpaceState::kHandedOver, SpaceState::kLost)) return;
  (void)pool_.release_tree(pool_.descriptor(index));
}

bool PoolFamily::is_abandoned(uint32_t index) const noexcept {
  struct flock lock = byte_at(index);
  return fcntl(pool_.descriptor_of_memory(), F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

uint32_t PoolFamily::reap(uint32_t own) noexcept {
  uint32_t reaped = 0;
  for (uint32_t index = 0; index < pool::kMaxSpaces; index++) {
    const std::atomic_ref<uint64_t> state(pool_.descriptor(index).state);
    if (index == own || state.load(std::memory_order_relaxed) != static_cast<uint64_t>(SpaceState::kLive)) continue;
    if (!is_abandoned(index) || !change_state(index, SpaceState::kLive, SpaceState::kLost)) continue;
    // Looked at again, now that nobody can take it: it may have been freed and become another process's in between.
    if (!is_abandoned(index)) {
      (void)change_state(index, SpaceState::kLost, SpaceState::kLive);
      continue;
    }
    (void)pool_.release_tree(pool_.descriptor(index));
    reaped++;
  }
  return reaped;
}

}  // namespace tiara::nic
