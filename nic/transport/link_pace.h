// How a link that broke is made again, whatever it runs over.
#pragma once

#include "runtime/os/clock.h"

namespace tiara::nic {

// Between attempts: soon at first, because most breaks are short, then easy on a network in trouble.
inline constexpr os::Nanoseconds kFirstPause{5'000'000};
inline constexpr os::Nanoseconds kLongestPause{500'000'000};
// Whoever holds a lock of a dead connection leaves it at once; this is only a bound.
inline constexpr os::Nanoseconds kLockBound{3'600'000'000'000};

// Who sleeps looks around this often, to see whether it is time to give up.
inline constexpr os::Nanoseconds kSlice{100'000'000};

}  // namespace tiara::nic
