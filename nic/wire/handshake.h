// What opens a connection of a stream transport: one fixed-size question, one fixed-size answer. A session has three
// connections: one for control (control.h), one for calls and one for posted requests, so that no answer that somebody
// waits for stands behind a write-back.
//
//   open    on a new control connection: token, slots wanted     -> session, its secret, instance, slots, lease
//   resume  on a new control connection: instance, session, secret -> the same, the next epoch
//   attach  on a new lane connection: session, secret, epoch, lane -> the same
//
// `instance` is drawn when a node starts: a node that was started again is never taken for the one that has the pages.
// `epoch` counts resumptions: connections of an older epoch are dead to the node. Behind the handshake a lane carries
// frames (frame.h), each followed by its bytes, if any, and their XXH3 hash (8 bytes).
//
// Fixed sizes and no allocation: a client resumes inside other people's processes. Decoding is total.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "nic/wire/frame.h"
#include "nic/wire/types.h"

namespace tiara::nic::wire {

inline constexpr size_t kHandshakeBytes = 384;
inline constexpr size_t kHandshakeReplyBytes = 256;
inline constexpr size_t kMaxHandshakeToken = 256;
inline constexpr size_t kMaxHandshakeText = 160;
inline constexpr size_t kTrailerBytes = 8;  // the hash behind a frame's bytes

enum class HandshakeKind : uint8_t { kOpen = 1, kResume = 2, kAttach = 3 };

struct SessionSecret {
  std::array<uint64_t, 2> words{};
  friend bool operator==(const SessionSecret&, const SessionSecret&) = default;
};

struct Handshake {
  HandshakeKind kind = HandshakeKind::kOpen;
  uint32_t slots = 0;  // open: wanted
  uint32_t lane = 0;   // attach: wire::Lane
  uint64_t instance = 0;
  uint64_t session = 0;
  SessionSecret secret;
  uint64_t epoch = 0;
  uint32_t token_bytes = 0;
  std::array<char, kMaxHandshakeToken> token{};

  std::string_view used_token() const { return {token.data(), token_bytes}; }
  friend bool operator==(const Handshake&, const Handshake&) = default;
};

enum class HandshakeStatus : uint8_t {
  kWelcome = 0,
  kOtherVersion = 1,   // the node speaks another version
  kNoPermission = 2,   // wrong token
  kOtherInstance = 3,  // the node was started again: the pages are gone
  kExpired = 4,        // no such session: its lease ran out, or the secret is wrong
  kFull = 5,           // the node takes no more sessions
  kMalformed = 6,
  kDraining = 7,       // the node takes no sessions any more
};

struct HandshakeReply {
  HandshakeStatus status = HandshakeStatus::kMalformed;
  TenantId tenant;
  uint32_t slots = 0;
  uint64_t instance = 0;
  uint64_t session = 0;
  SessionSecret secret;
  uint64_t epoch = 0;
  uint64_t lease_ms = 0;
  uint32_t text_bytes = 0;  // why not, for people
  std::array<char, kMaxHandshakeText> text{};

  void set_text(std::string_view why) noexcept;
  std::string_view used_text() const { return {text.data(), text_bytes}; }
  friend bool operator==(const HandshakeReply&, const HandshakeReply&) = default;
};

void encode(const Handshake& handshake, std::span<std::byte, kHandshakeBytes> out) noexcept;
void encode(const HandshakeReply& reply, std::span<std::byte, kHandshakeReplyBytes> out) noexcept;
DecodeStatus decode(std::span<const std::byte, kHandshakeBytes> bytes, Handshake& handshake) noexcept;
DecodeStatus decode(std::span<const std::byte, kHandshakeReplyBytes> bytes, HandshakeReply& reply) noexcept;

// Bytes of a whole message on a lane: the frame, and what follows it.
constexpr size_t message_bytes(uint64_t payload) { return kFrameBytes + payload + (payload != 0 ? kTrailerBytes : 0); }
// Writes the hash of the `payload` bytes at `at` behind them; nothing when there are none.
void seal_bytes(std::byte* at, uint64_t payload) noexcept;
bool is_intact(const std::byte* at, uint64_t payload) noexcept;

}  // namespace tiara::nic::wire
