// jemalloc arenas whose extents are far memory. Their metadata stays near: jemalloc never has to touch a far page to
// hand one out or to take one back.
#pragma once

#include <cstddef>

namespace tiara::placement::far_arenas {

// More arenas than this bring no less contention behind thread caches, and each keeps its own slack.
inline constexpr unsigned kMaxArenas = 8;

// Makes `count` arenas (at most kMaxArenas). FarMemory must have started. False when jemalloc refuses.
bool create(unsigned count) noexcept;
// Index of the arena that the next thread should use: round robin.
unsigned assign() noexcept;
// From now on nothing is taken from or given back to FarMemory (a forked child).
void freeze() noexcept;

}  // namespace tiara::placement::far_arenas
