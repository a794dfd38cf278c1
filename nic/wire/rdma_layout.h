// What travels over a reliable RDMA connection (verbs, RC), and where.
//
// The client names one registered slab of its own when it connects; the node never names memory, except the pool of a
// node that was started for baselines. Everything from client to node is a SEND with immediate, everything from node to
// client one RDMA WRITE with immediate into the slab:
//
//   slab     question area | answer area | slot 0: request area, reply area | slot 1: ...
//   request  a message as on a stream lane (handshake.h): frame, its bytes, their hash. Written to the slot's request
//            area. One that fits into kRdmaMessageBytes is sent whole, of a larger one the frame alone: the node READs
//            the rest when it is its turn. So a large write-back never stands before a miss.
//   reply    the same, written into the slot's reply area; the immediate is the slot.
//   control  questions (control.h) as requests, one at a time, in the areas before the slots.
//   first    a Handshake (handshake.h), kOpen or kResume, by SEND; its answer comes into the answer area.
//
// Credits: the node has a receive posted for each slot, one for a control question and one for a handshake, and posts
// it again before it answers; the client has one for each answer that can come, and posts it again before the slot is
// free. So nobody ever meets a peer without a receive, and a slot is a credit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "nic/wire/control.h"
#include "nic/wire/handshake.h"
#include "nic/wire/shm_layout.h"

namespace tiara::nic::wire {

// A request or a reply of one page: what a miss and a small write-back need.
inline constexpr uint64_t kRdmaMessageBytes = round_up(message_bytes(kPageSize), 64);
static_assert(kRdmaMessageBytes >= kHandshakeBytes);

// The largest message, in whole pages.
inline constexpr uint64_t kRdmaAreaBytes = round_up(message_bytes(kMaxPayloadBytes), kPageSize);
static_assert(kRdmaAreaBytes >= message_bytes(kMaxReplyBytes));
static_assert(kRdmaAreaBytes >= kControlHeaderBytes + kMaxControlBody);

inline constexpr uint64_t kRdmaQuestionOffset = 0;
inline constexpr uint64_t kRdmaAnswerOffset = kRdmaAreaBytes;
constexpr uint64_t rdma_request_offset(uint32_t slot) { return (2 + 2 * uint64_t{slot}) * kRdmaAreaBytes; }
constexpr uint64_t rdma_reply_offset(uint32_t slot) { return rdma_request_offset(slot) + kRdmaAreaBytes; }
constexpr uint64_t rdma_slab_bytes(uint32_t slots) { return rdma_request_offset(slots); }

// Receives beyond those of the slots: a control question, a handshake.
inline constexpr uint32_t kRdmaExtraReceives = 2;

// The immediate of a SEND to the node.
enum class RdmaRequest : uint8_t { kHandshake = 1, kQuestion = 2, kCall = 3, kPosted = 4 };
// Where the bytes behind the frame (or the control header) are.
enum class RdmaBytes : uint8_t { kInMessage = 0, kInSlab = 1 };
constexpr uint32_t rdma_immediate(RdmaRequest request, RdmaBytes bytes) {
  return static_cast<uint32_t>(request) << 8 | static_cast<uint32_t>(bytes);
}
struct RdmaImmediate {
  RdmaRequest request;
  RdmaBytes bytes;
};
constexpr std::optional<RdmaImmediate> decode_rdma_immediate(uint32_t value) {
  const uint32_t request = value >> 8, bytes = value & 0xff;
  if (request < 1 || request > 4 || bytes > 1) return std::nullopt;
  return RdmaImmediate{static_cast<RdmaRequest>(request), static_cast<RdmaBytes>(bytes)};
}

// The immediate of a WRITE to the client: a slot, or one of these.
inline constexpr uint32_t kRdmaAnswer = kMaxSlots;              // to a control question
inline constexpr uint32_t kRdmaHandshakeAnswer = kMaxSlots + 1;

// What the client says when it connects (private data of the connection request).
struct RdmaHello {
  uint32_t slots = 0;  // kMinSlots to kMaxSlots
  uint32_t slab_key = 0;
  uint64_t slab_address = 0;
  uint64_t slab_bytes = 0;  // rdma_slab_bytes(slots)
  friend bool operator==(const RdmaHello&, const RdmaHello&) = default;
};
// The node's answer to that: for how many slots it has receives posted, at most what was asked for.
struct RdmaWelcome {
  uint32_t slots = 0;
  friend bool operator==(const RdmaWelcome&, const RdmaWelcome&) = default;
};
// Behind the answer to a handshake: the pool, for one-sided READs. Zeros from a node that was not started for
// baselines.
struct RdmaPool {
  uint64_t address = 0;
  uint64_t bytes = 0;
  uint32_t key = 0;
  friend bool operator==(const RdmaPool&, const RdmaPool&) = default;
};

inline constexpr size_t kRdmaHelloBytes = 32;
inline constexpr size_t kRdmaWelcomeBytes = 16;
inline constexpr size_t kRdmaPoolBytes = 24;
inline constexpr size_t kRdmaHandshakeAnswerBytes = kHandshakeReplyBytes + kRdmaPoolBytes;
static_assert(kRdmaHelloBytes <= 56, "private data of a connection request");

// Decoding is total. Private data arrives with zeros behind it, so more bytes than these are taken.
void encode(const RdmaHello& hello, std::span<std::byte, kRdmaHelloBytes> out) noexcept;
void encode(const RdmaWelcome& welcome, std::span<std::byte, kRdmaWelcomeBytes> out) noexcept;
void encode(const RdmaPool& pool, std::span<std::byte, kRdmaPoolBytes> out) noexcept;
DecodeStatus decode(std::span<const std::byte> bytes, RdmaHello& hello) noexcept;
DecodeStatus decode(std::span<const std::byte> bytes, RdmaWelcome& welcome) noexcept;
DecodeStatus decode(std::span<const std::byte, kRdmaPoolBytes> bytes, RdmaPool& pool) noexcept;

}  // namespace tiara::nic::wire
