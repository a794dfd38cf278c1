// Processes that share one pool after a fork: whose address space is whose, and what becomes of those of the dead.
//
// Each process has a node object of its own over the shared memory, and knows only its own spaces. That the process of
// a space lives shows in a record lock (fcntl(2), F_SETLK) on one byte of the pool's memfd, at the index of the space:
// the kernel drops it when the process ends or executes another program, however that happens, and a forked child does
// not inherit it. So a space whose byte is not locked is nobody's, and any of the others may take its pages back.
#pragma once

#include <cstdint>

#include "nic/node/pool.h"
#include "runtime/base/error.h"

namespace tiara::nic {

class PoolFamily {
 public:
  explicit PoolFamily(Pool& pool) noexcept : pool_(pool) {}

  // The calling process owns the space from now on. Idempotent.
  Result<void> claim(uint32_t index) noexcept;
  // In the child: takes over the clone that was made for it. False when the parent gave the child up.
  Result<void> take_over(uint32_t index) noexcept;
  // In the parent: the child never came for it, and never will.
  void give_up_child(uint32_t index) noexcept;

  // Takes back the pages of every process that has ended, except the space `own`. How many spaces that were.
  // Any thread, any process of the family; one of them does the work for each.
  uint32_t reap(uint32_t own) noexcept;

 private:
  // Nobody has locked it, but perhaps the calling process itself.
  bool is_abandoned(uint32_t index) const noexcept;
  bool change_state(uint32_t index, pool::SpaceState from, pool::SpaceState to) noexcept;
  Pool& pool_;
};

}  // namespace tiara::nic
