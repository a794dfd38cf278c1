// Names and limits that both ends of a channel share.
#pragma once

#include <cstdint>

#include "runtime/base/units.h"

namespace tiara::nic {

struct OperatorId {
  uint32_t value = 0;
  friend constexpr bool operator==(OperatorId, OperatorId) = default;
};
struct AddressSpaceId {
  uint32_t value = 0;  // 0 is no address space
  friend constexpr bool operator==(AddressSpaceId, AddressSpaceId) = default;
};
struct TenantId {
  uint32_t value = 0;  // 0 is the tenant of a node without tokens
  friend constexpr bool operator==(TenantId, TenantId) = default;
};

// A copy of an address space. The session that asked for it owns it, until one of the same tenant that brings the
// ticket adopts it: how a forked child takes over what its parent had cloned for it.
struct SpaceTicket {
  uint64_t words[2] = {};
  friend constexpr bool operator==(const SpaceTicket&, const SpaceTicket&) = default;
};
struct ClonedSpace {
  AddressSpaceId space;
  SpaceTicket ticket;
  friend constexpr bool operator==(const ClonedSpace&, const ClonedSpace&) = default;
};
// A snapshot is a clone that nobody changes: operators that change the pool are refused. It can be cloned in turn.
enum class CloneKind : uint8_t { kClone = 0, kSnapshot = 1 };

// At most this many pages travel in one invocation: the width of a plan's bitmap.
inline constexpr uint32_t kMaxPagesPerInvocation = 64;
inline constexpr uint64_t kMaxPayloadBytes = uint64_t{kMaxPagesPerInvocation} << kPageShift;
inline constexpr uint64_t kMaxReplyBytes = uint64_t{kMaxPagesPerInvocation} << kPageShift;
inline constexpr uint32_t kMaxArguments = 6;  // r0..r5

// Not a program: a plain read of pool bytes, as a one-sided RDMA READ would do it. Arguments: pool offset, length.
// Answered only by a node that was started for baselines (NodeConfig::one_sided).
inline constexpr OperatorId kOneSidedRead{0xffff'ff01};

}  // namespace tiara::nic
