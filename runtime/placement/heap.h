// The program's heap: near blocks from jemalloc's arena 0, far blocks from far arenas, told apart by address.
//
// A process begins with everything near. Once far memory is on, a thread's automatic thread cache is bound to a far
// arena at its next allocation (the fast path stays jemalloc's own), and near blocks go through an explicit cache.
// Near blocks never enter the far cache nor the other way round.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/placement/rules.h"

namespace tiara::placement::heap {

enum class Phase : uint8_t {
  kNear,     // no far memory here: not asked for, or a forked child
  kWaiting,  // far memory was asked for; it starts when `demand` passes the threshold
  kFar,
};

enum class Zeroed : uint8_t { kNo, kYes };

// --- life of the process (one thread at a time) ---

// kNear → kWaiting. `start` is called from an allocation that brings the demand to `threshold` bytes; it must call
// switch_to_far() or end the process. It is not called again while it runs.
void wait_for_demand(Rules rules, size_t threshold, void (*start)()) noexcept;
// kWaiting → kFar; FarMemory has started. False when jemalloc cannot make its arenas.
bool switch_to_far() noexcept;
// kFar → kNear in a forked child, whose only thread is the caller: what it frees of far memory is forgotten.
void switch_to_near() noexcept;
Phase phase() noexcept;
// Looks again for the shared objects that rules name: after dlopen.
void refresh_callers() noexcept;

// --- demand (any thread) ---

// The program mapped or unmapped memory that would be far, were it on. Starts far memory at the threshold.
void note_near_mapping(ptrdiff_t bytes) noexcept;
bool mapping_stays_near(size_t size, const void* caller) noexcept;

// --- allocation (any thread); `caller` is the return address of the program's call ---

void* allocate(size_t size, const void* caller) noexcept;
void* allocate_zeroed(size_t count, size_t size, const void* caller) noexcept;
void* allocate_aligned(size_t alignment, size_t size, const void* caller) noexcept;  // alignment: a power of two
void* reallocate(void* block, size_t size, const void* caller) noexcept;
void release(void* block) noexcept;
size_t usable_size(const void* block) noexcept;

// For the runtime itself: near whatever the phase, and never the cause of a start.
void* allocate_near(size_t size) noexcept;
void* allocate_near_zeroed(size_t count, size_t size) noexcept;
void* allocate_near_aligned(size_t alignment, size_t size) noexcept;
void* reallocate_near(void* block, size_t size) noexcept;

}  // namespace tiara::placement::heap
