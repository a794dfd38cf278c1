// The frames of the data path: an invocation and its reply. Fixed size, little-endian, both two cache lines; payload
// and gathered bytes travel beside them (in a slot's areas over shm, behind them on a stream).
//
//   offset  invocation                reply
//        0  magic "TIAR"              magic "TIAR"
//        4  version, kind             version, kind
//        6  argument count, zero      status, zero
//        8  request id                request id
//       16  tenant                    tenant
//       20  operator                  pc
//       24  address space             code, zero
//       28  payload bytes             reply bytes
//       32  reply room, zero          results[4]
//       40  zero (a deadline later)
//       48  arguments[6]
//       64                            counts[7]
//       96  zero[3]
//      120  checksum (XXH3 of the 120 bytes before it)
//
// Decoding is total: any 128 bytes give either a frame whose every field is inside its limits, or a DecodeStatus.
// Reserved bytes must be zero, so that a later version can use them and an older node refuses what it cannot do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nic/isa/outcome.h"
#include "nic/wire/types.h"

namespace tiara::nic::wire {

inline constexpr uint32_t kMagic = 0x52414954;  // "TIAR"
inline constexpr uint8_t kVersion = 1;
inline constexpr size_t kFrameBytes = 128;

enum class FrameKind : uint8_t { kInvocation = 1, kReply = 2, kControlRequest = 3, kControlReply = 4 };

enum class [[nodiscard]] DecodeStatus : uint8_t {
  kOk,
  kBadMagic,
  kBadVersion,
  kBadKind,
  kBadChecksum,
  kBadField,  // a count, length or enumerator outside its limits, or a reserved byte that is not zero
};
const char* to_string(DecodeStatus status) noexcept;

struct InvocationFrame {
  uint64_t request_id = 0;
  TenantId tenant;
  OperatorId operation;
  AddressSpaceId space;
  uint32_t payload_bytes = 0;   // at most kMaxPayloadBytes
  uint32_t reply_room = 0;      // at most kMaxReplyBytes
  uint32_t argument_count = 0;  // at most kMaxArguments
  std::array<uint64_t, kMaxArguments> arguments{};

  std::span<const uint64_t> used_arguments() const { return {arguments.data(), argument_count}; }
  friend bool operator==(const InvocationFrame&, const InvocationFrame&) = default;
};

struct ReplyFrame {
  uint64_t request_id = 0;
  TenantId tenant;
  Outcome outcome;  // reply_bytes at most kMaxReplyBytes

  friend bool operator==(const ReplyFrame&, const ReplyFrame&) = default;
};

using FrameBytes = std::span<std::byte, kFrameBytes>;
using ConstFrameBytes = std::span<const std::byte, kFrameBytes>;

// No allocation, any thread. Decoders read each byte once: pass a private copy where the peer can write.
void encode(const InvocationFrame& frame, FrameBytes out) noexcept;
void encode(const ReplyFrame& frame, FrameBytes out) noexcept;
DecodeStatus decode(ConstFrameBytes bytes, InvocationFrame& frame) noexcept;
DecodeStatus decode(ConstFrameBytes bytes, ReplyFrame& frame) noexcept;

}  // namespace tiara::nic::wire
