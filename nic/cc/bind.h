// The second half of lifting, once every value is known: parameters of calls that must be constants
// become fields of instructions, loops get their trip counts and bounds, and what is no address of
// the scratchpad is refused.
#pragma once

#include <utility>
#include <vector>

#include "nic/cc/intrinsics.h"
#include "nic/cc/ir.h"
#include "nic/isa/program.h"
#include "runtime/base/error.h"

namespace tiara::nic::cc {

// A function whose calls hold their parameters, unexamined, in `incoming`; whose loop heads hold
// the loop's number instead of the trip count; and whose ends hold results and reasons alike in
// `results`.
struct Lifted {
  Function function;
  std::vector<std::pair<ValueId, const Intrinsic*>> calls;
};

Result<Function> bind(const Program& header, Lifted lifted);

}  // namespace tiara::nic::cc
