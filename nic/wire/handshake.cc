#include "nic/wire/handshake.h"

#include <algorithm>
#include <cstring>

#include "nic/wire/checksum.h"
#include "nic/wire/shm_layout.h"

namespace tiara::nic::wire {
namespace {

constexpr uint32_t kStreamMagic = 0x54534954;  // "TIST"
constexpr uint8_t kStreamVersion = 1;          // bumped with every change of what travels on a stream
constexpr uint8_t kQuestion = 1, kAnswer = 2;

struct RawHandshake {
  uint32_t magic;
  uint8_t version, direction, kind, zero0;
  uint32_t slots, lane;
  uint64_t instance, session, secret[2], epoch;
  uint32_t token_bytes, zero1;
  char token[kMaxHandshakeToken];
  uint64_t zero2[7];
  uint64_t checksum;
};
static_assert(sizeof(RawHandshake) == kHandshakeBytes);

struct RawAnswer {
  uint32_t magic;
  uint8_t version, direction, status, zero0;
  uint32_t tenant, slots;
  uint64_t instance, session, secret[2], epoch, lease_ms;
  uint32_t text_bytes, zero1;
  char text[kMaxHandshakeText];
  uint64_t zero2[2];
  uint64_t checksum;
};
static_assert(sizeof(RawAnswer) == kHandshakeReplyBytes);

// The version is looked at before the checksum: where it stands does not change between versions.
template <typename Raw>
DecodeStatus check(const Raw& raw, uint8_t direction) noexcept {
  if (raw.magic != kStreamMagic) return DecodeStatus::kBadMagic;
  if (raw.version != kStreamVersion) return DecodeStatus::kBadVersion;
  if (raw.direction != direction) return DecodeStatus::kBadKind;
  if (raw.checksum != checksum_of(raw)) return DecodeStatus::kBadChecksum;
  uint64_t reserved = raw.zero0 | raw.zero1;
  for (const uint64_t word : raw.zero2) reserved |= word;
  return reserved == 0 ? DecodeStatus::kOk : DecodeStatus::kBadField;
}

bool is_zero(const char* bytes, size_t count) noexcept {
  return std::all_of(bytes, bytes + count, [](char byte) { return byte == 0; });
}

}  // namespace

void HandshakeReply::set_text(std::string_view why) noexcept {
  text_bytes = static_cast<uint32_t>(std::min(why.size(), kMaxHandshakeText));
  text.fill(0);
  std::copy_n(why.begin(), text_bytes, text.begin());
}

void encode(const Handshake& handshake, std::span<std::byte, kHandshakeBytes> out) noexcept {
  RawHandshake raw{};
  raw.magic = kStreamMagic;
  raw.version = kStreamVersion;
  raw.direction = kQuestion;
  raw.kind = static_cast<uint8_t>(handshake.kind);
  raw.slots = handshake.slots;
  raw.lane = handshake.lane;
  raw.instance = handshake.instance;
  raw.session = handshake.session;
  std::copy(handshake.secret.words.begin(), handshake.secret.words.end(), raw.secret);
  raw.epoch = handshake.epoch;
  raw.token_bytes = handshake.token_bytes;
  std::copy(handshake.token.begin(), handshake.token.end(), raw.token);
  raw.checksum = checksum_of(raw);
  std::memcpy(out.data(), &raw, sizeof raw);
}

void encode(const HandshakeReply& reply, std::span<std::byte, kHandshakeReplyBytes> out) noexcept {
  RawAnswer raw{};
  raw.magic = kStreamMagic;
  raw.version = kStreamVersion;
  raw.direction = kAnswer;
  raw.status = static_cast<uint8_t>(reply.status);
  raw.tenant = reply.tenant.value;
  raw.slots = reply.slots;
  raw.instance = reply.instance;
  raw.session = reply.session;
  std::copy(reply.secret.words.begin(), reply.secret.words.end(), raw.secret);
  raw.epoch = reply.epoch;
  raw.lease_ms = reply.lease_ms;
  raw.text_bytes = reply.text_bytes;
  std::copy(reply.text.begin(), reply.text.end(), raw.text);
  raw.checksum = checksum_of(raw);
  std::memcpy(out.data(), &raw, sizeof raw);
}

DecodeStatus decode(std::span<const std::byte, kHandshakeBytes> bytes, Handshake& handshake) noexcept {
  RawHandshake raw;
  std::memcpy(&raw, bytes.data(), sizeof raw);
  if (const auto status = check(raw, kQuestion); status != DecodeStatus::kOk) return status;
  const bool is_known = raw.kind >= static_cast<uint8_t>(HandshakeKind::kOpen) &&
                        raw.kind <= static_cast<uint8_t>(HandshakeKind::kAttach);
  if (!is_known || raw.lane >= kLanes || raw.token_bytes > kMaxHandshakeToken ||
      !is_zero(raw.token + raw.token_bytes, kMaxHandshakeToken - raw.token_bytes))
    return DecodeStatus::kBadField;
  handshake = {};
  handshake.kind = static_cast<HandshakeKind>(raw.kind);
  handshake.slots = raw.slots;
  handshake.lane = raw.lane;
  handshake.instance = raw.instance;
  handshake.session = raw.session;
  handshake.secret.words = {raw.secret[0], raw.secret[1]};
  handshake.epoch = raw.epoch;
  handshake.token_bytes = raw.token_bytes;
  std::memcpy(handshake.token.data(), raw.token, kMaxHandshakeToken);
  return DecodeStatus::kOk;
}

DecodeStatus decode(std::span<const std::byte, kHandshakeReplyBytes> bytes, HandshakeReply& reply) noexcept {
  RawAnswer raw;
  std::memcpy(&raw, bytes.data(), sizeof raw);
  if (const auto status = check(raw, kAnswer); status != DecodeStatus::kOk) return status;
  if (raw.status > static_cast<uint8_t>(HandshakeStatus::kDraining) || raw.text_bytes > kMaxHandshakeText ||
      !is_zero(raw.text + raw.text_bytes, kMaxHandshakeText - raw.text_bytes))
    return DecodeStatus::kBadField;
  const bool is_welcome = raw.status == static_cast<uint8_t>(HandshakeStatus::kWelcome);
  if (is_welcome && (raw.slots < kMinSlots || raw.slots > kMaxSlots)) return DecodeStatus::kBadField;
  reply = {};
  reply.status = static_cast<HandshakeStatus>(raw.status);
  reply.tenant = {raw.tenant};
  reply.slots = raw.slots;
  reply.instance = raw.instance;
  reply.session = raw.session;
  reply.secret.words = {raw.secret[0], raw.secret[1]};
  reply.epoch = raw.epoch;
  reply.lease_ms = raw.lease_ms;
  reply.text_bytes = raw.text_bytes;
  std::memcpy(reply.text.data(), raw.text, kMaxHandshakeText);
  return DecodeStatus::kOk;
}

void seal_bytes(std::byte* at, uint64_t payload) noexcept {
  if (payload == 0) return;
  const uint64_t hash = hash_bytes({at, payload});
  std::memcpy(at + payload, &hash, kTrailerBytes);
}

bool is_intact(const std::byte* at, uint64_t payload) noexcept {
  if (payload == 0) return true;
  uint64_t hash = 0;
  std::memcpy(&hash, at + payload, kTrailerBytes);
  return hash == hash_bytes({at, payload});
}

}  // namespace tiara::nic::wire
