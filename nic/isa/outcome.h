// How an invocation ends: what the reply frame carries, and what every engine must agree on.
#pragma once

#include <array>
#include <cstdint>

namespace tiara::nic {

enum class Status : uint8_t {
  kOk = 0,      // RET
  kFailed = 1,  // FAIL: the program itself gave up; `code` is its reason (meaning private to the operator)
  kFault = 2,   // the engine stopped it; `code` is a Fault
  kRefused = 3, // it never ran: contract, tenant, operator or frame; `code` is a Refusal
};

// Precise run-time faults: memory is as it was before the faulting instruction.
enum class Fault : uint16_t {
  kNone = 0,
  kRegionBounds,      // [offset, offset+length) leaves its region
  kRegionPermission,  // the region does not grant this kind of access
  kMisaligned,        // atomics and line loads need natural alignment
  kScratchpadBounds,
  kPayloadBounds,     // scatter past the end of the payload
  kReplyBounds,       // gather or emit past the room for the reply
  kLoopBound,         // a trip count above the declared bound
  kStepBudget,        // the last line of defence: more steps than were proved
  kIllegalInstruction,
  kRemoteUnavailable,  // no path to the named host, or it refused
};

inline constexpr uint16_t kFaultKinds = 11;  // kNone included

enum class Refusal : uint16_t {
  kNone = 0,
  kMalformedFrame,
  kUnknownOperator,
  kUnknownAddressSpace,
  kArgumentCount,
  kArgumentRange,     // an argument outside the program's contract
  kPayloadSize,
  kReplyRoom,         // the caller's room is below the proved reply bound for these arguments
  kRegionUnbound,     // the program declares a region that the node does not bind, or binds with less permission
  kNotAuthorised,
  kOverloaded,        // the tenant has used up its operator time for now: try again later
  kQuota,             // the tenant's quota of memory has no room for what the call may store
};

// What a run did; the verifier's proved bounds bound each of these.
struct Counts {
  uint64_t steps = 0;          // instructions retired
  uint64_t loads = 0;          // region reads of 1 to 8 bytes
  uint64_t stores = 0;
  uint64_t lines = 0;          // 64-byte line loads
  uint64_t atomics = 0;
  uint64_t bytes_moved = 0;    // by gather, scatter, fill and copy; `emit` counts in reply_bytes only
  uint64_t remote_operations = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
};

inline constexpr uint32_t kResultRegisters = 4;  // r0 to r3 at RET; zero otherwise

struct Outcome {
  Status status = Status::kRefused;
  uint16_t code = 0;           // Fault, Refusal, or the operator's own reason
  uint32_t pc = 0;             // of the RET, FAIL or faulting instruction
  std::array<uint64_t, kResultRegisters> results{};
  uint64_t reply_bytes = 0;    // written from the start of Invocation::reply
  Counts counts;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

}  // namespace tiara::nic
