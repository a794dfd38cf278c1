// Why a node is lost for good, whatever the link runs over, for people: strings that live for ever.
#pragma once

namespace tiara::nic {

using LossReason = const char*;

inline constexpr LossReason kSilent = "it did not answer within the bound on waiting (--node-timeout)";
inline constexpr LossReason kRestarted = "it was started again and has none of the pages";
inline constexpr LossReason kLeaseOver = "the lease ran out before it could be reached again";
inline constexpr LossReason kNobodyThere = "nobody listens there any more";
inline constexpr LossReason kRefuses = "it refuses to take the session up again";

}  // namespace tiara::nic
