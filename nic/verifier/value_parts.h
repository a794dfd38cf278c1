// The parts of an AbstractValue while it is being made: any combination, not yet reduced. Private to the
// domain.
#pragma once

#include <optional>

#include "nic/verifier/domain.h"

namespace tiara::nic {

struct ValueParts {
  uint64_t umin = 0;
  uint64_t umax = ~uint64_t{0};
  int64_t smin = INT64_MIN;
  int64_t smax = INT64_MAX;
  KnownBits bits = {};
  Origin origin = Origin::kNone;

  static ValueParts of(const AbstractValue& v) {
    return {v.umin_, v.umax_, v.smin_, v.smax_, v.bits_, v.origin_};
  }

  // The set as a reduced value; nothing when it is empty.
  std::optional<AbstractValue> reduce() const;
  // The same where the set cannot be empty because the operands' sets were not. Should the parts contradict
  // each other all the same, then so did the operands in a way that reduction does not see: no run gets here,
  // and knowing nothing is right.
  AbstractValue reduce_nonempty() const;
};

}  // namespace tiara::nic
