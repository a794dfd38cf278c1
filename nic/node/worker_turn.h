// How a worker divides its time between connections, whatever they run over.
#pragma once

#include <cstddef>

namespace tiara::nic {

// How much of one connection's waiting requests, and of their answers, is moved before the next has its turn: some
// 20 us of copying.
inline constexpr size_t kTurnBytes = 64 * 1024;

}  // namespace tiara::nic
