// Does this thread have its core for itself?
//
// A virtual CPU is often one of two hardware threads of a core, and whose the other one is cannot be asked. What it
// does can be felt: a chain of dependent additions takes the same time beside it, four chains at once do not, because
// they want every issue slot. Measurements of two programs of which one waits and one does not cannot be compared
// while that goes on.
#pragma once

namespace tiara::apps::engine {

// Time of four chains of additions over the time of one, medians of some: 1.00 to 1.07 on a core of one's own with four
// adders or more (every x86-64 core since 2013), 1.10 to 1.25 beside a busy neighbour. 40 us.
double contention() noexcept;

// Above this the core is taken for shared.
constexpr double kSharedCore = 1.08;

}  // namespace tiara::apps::engine
