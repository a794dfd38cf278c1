#include "nic/wire/handshake.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "nic/wire/shm_layout.h"
#include "runtime/base/hash.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::wire;

namespace {

Handshake some_handshake() {
  Handshake handshake;
  handshake.kind = HandshakeKind::kAttach;
  handshake.slots = 32;
  handshake.lane = 1;
  handshake.instance = 0x1122334455667788;
  handshake.session = 7;
  handshake.secret.words = {11, 12};
  handshake.epoch = 3;
  handshake.token_bytes = 4;
  std::ranges::copy("open", handshake.token.begin());
  handshake.token[4] = 0;
  return handshake;
}

HandshakeReply some_reply() {
  HandshakeReply reply;
  reply.status = HandshakeStatus::kWelcome;
  reply.tenant = {5};
  reply.slots = 16;
  reply.instance = 9;
  reply.session = 10;
  reply.secret.words = {13, 14};
  reply.epoch = 2;
  reply.lease_ms = 30'000;
  return reply;
}

template <size_t kSize, typename Message>
void check_that_every_bit_counts(const Message& message) {
  std::array<std::byte, kSize> bytes;
  encode(message, std::span(bytes));
  Message decoded;
  REQUIRE(decode(std::span<const std::byte, kSize>(bytes), decoded) == DecodeStatus::kOk);
  CHECK(decoded == message);
  size_t accepted = 0;
  for (size_t bit = 0; bit < kSize * 8; bit++) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    accepted += decode(std::span<const std::byte, kSize>(bytes), decoded) == DecodeStatus::kOk;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  CHECK(accepted == 0);
}

// Random bytes with everything that is checked first made right, so that the fields are what is decided by.
template <size_t kSize, typename Message>
void check_that_decoding_is_total(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::array<std::byte, kSize> right, bytes;
  encode(Message(), std::span(right));
  for (int i = 0; i < 20'000; i++) {
    bytes = right;
    const size_t changes = random() % 12;
    for (size_t n = 0; n < changes; n++) bytes[random() % (kSize - 8)] = static_cast<std::byte>(random());
    if (random() % 8 != 0) {
      const uint64_t checksum = hash_bytes(std::span(bytes).first(kSize - 8));
      std::memcpy(bytes.data() + kSize - 8, &checksum, 8);
    }
    Message decoded;
    if (decode(std::span<const std::byte, kSize>(bytes), decoded) != DecodeStatus::kOk) continue;
    std::array<std::byte, kSize> again;
    encode(decoded, std::span(again));
    REQUIRE(again == bytes);  // what is accepted is understood whole
  }
}

}  // namespace

TEST_CASE("handshakes come back as they were sent, and no flipped bit is accepted") {
  check_that_every_bit_counts<kHandshakeBytes>(some_handshake());
  check_that_every_bit_counts<kHandshakeReplyBytes>(some_reply());
  HandshakeReply refusal;
  refusal.status = HandshakeStatus::kExpired;
  refusal.set_text("the lease ran out");
  check_that_every_bit_counts<kHandshakeReplyBytes>(refusal);
}

TEST_CASE("decoding a handshake is total") {
  check_that_decoding_is_total<kHandshakeBytes, Handshake>(1);
  check_that_decoding_is_total<kHandshakeReplyBytes, HandshakeReply>(2);
}

TEST_CASE("a welcome with slots that no client has is refused") {
  for (const uint32_t slots : {0u, kMinSlots - 1, kMaxSlots + 1, ~0u}) {
    HandshakeReply reply = some_reply();
    reply.slots = slots;
    std::array<std::byte, kHandshakeReplyBytes> bytes;
    encode(reply, bytes);
    CHECK(decode(std::span<const std::byte, kHandshakeReplyBytes>(bytes), reply) == DecodeStatus::kBadField);
  }
}

TEST_CASE("the hash behind a message's bytes sees every change") {
  std::vector<std::byte> bytes(100 + kTrailerBytes, std::byte{3});
  seal_bytes(bytes.data(), 100);
  CHECK(is_intact(bytes.data(), 100));
  for (std::byte& byte : bytes) {
    byte ^= std::byte{64};
    CHECK_FALSE(is_intact(bytes.data(), 100));
    byte ^= std::byte{64};
  }
  CHECK(is_intact(bytes.data(), 0));
  CHECK(message_bytes(0) == kFrameBytes);
  CHECK(message_bytes(1) == kFrameBytes + 1 + kTrailerBytes);
}
