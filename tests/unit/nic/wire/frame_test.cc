#include "nic/wire/frame.h"

#include <cstring>
#include <random>

#include <catch2/catch.hpp>

#include "runtime/base/hash.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::wire;

namespace {

using Bytes128 = std::array<std::byte, kFrameBytes>;

InvocationFrame some_invocation() {
  return {0x1122334455667788, {7}, {3}, {9}, 8192, 4096, 3, {1, ~0ull, 42}};
}

ReplyFrame some_reply() {
  ReplyFrame frame{5, {7}, {}};
  frame.outcome = {Status::kFault, static_cast<uint16_t>(Fault::kRegionBounds), 17, {1, 2, 3, 4}, 4096,
                   {10, 20, 30, 40, 50, 60, 70}};
  return frame;
}

template <typename Frame>
Bytes128 encoded(const Frame& frame) {
  Bytes128 bytes;
  encode(frame, bytes);
  return bytes;
}

// Writes `value` at `offset` and makes the checksum right again: what a forger who knows the format can do.
template <typename T>
Bytes128 forged(Bytes128 bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  const uint64_t checksum = hash_bytes(std::span(bytes).first(kFrameBytes - 8));
  std::memcpy(bytes.data() + kFrameBytes - 8, &checksum, 8);
  return bytes;
}

DecodeStatus decode_invocation(const Bytes128& bytes) {
  InvocationFrame frame;
  return decode(bytes, frame);
}
DecodeStatus decode_reply(const Bytes128& bytes) {
  ReplyFrame frame;
  return decode(bytes, frame);
}

}  // namespace

TEST_CASE("an invocation survives the wire") {
  InvocationFrame read;
  REQUIRE(decode(encoded(some_invocation()), read) == DecodeStatus::kOk);
  CHECK(read == some_invocation());
  CHECK(read.used_arguments().size() == 3);
}

TEST_CASE("a reply survives the wire") {
  ReplyFrame read;
  REQUIRE(decode(encoded(some_reply()), read) == DecodeStatus::kOk);
  CHECK(read == some_reply());
}

TEST_CASE("every flipped bit of a frame is noticed") {
  for (const Bytes128& good : {encoded(some_invocation()), encoded(some_reply())}) {
    for (size_t bit = 0; bit < kFrameBytes * 8; bit++) {
      Bytes128 bad = good;
      bad[bit / 8] ^= std::byte{1} << (bit % 8);
      CHECK(decode_invocation(bad) != DecodeStatus::kOk);
      CHECK(decode_reply(bad) != DecodeStatus::kOk);
    }
  }
}

TEST_CASE("a forged invocation with a field out of range is refused") {
  const Bytes128 good = encoded(some_invocation());
  CHECK(decode_invocation(forged(good, 0, uint32_t{0})) == DecodeStatus::kBadMagic);
  CHECK(decode_invocation(forged(good, 4, uint8_t{2})) == DecodeStatus::kBadVersion);
  CHECK(decode_invocation(forged(good, 5, uint8_t{2})) == DecodeStatus::kBadKind);
  CHECK(decode_invocation(forged(good, 6, uint8_t{7})) == DecodeStatus::kBadField);
  CHECK(decode_invocation(forged(good, 6, uint8_t{2})) == DecodeStatus::kBadField);  // a third argument is left over
  CHECK(decode_invocation(forged(good, 28, uint32_t{kMaxPayloadBytes + 1})) == DecodeStatus::kBadField);
  CHECK(decode_invocation(forged(good, 32, uint32_t{kMaxReplyBytes + 1})) == DecodeStatus::kBadField);
  for (const size_t reserved : {7, 36, 40, 47, 96, 119})
    CHECK(decode_invocation(forged(good, reserved, uint8_t{1})) == DecodeStatus::kBadField);
}

TEST_CASE("a forged reply with a field out of range is refused") {
  const Bytes128 good = encoded(some_reply());
  CHECK(decode_reply(forged(good, 5, uint8_t{1})) == DecodeStatus::kBadKind);
  CHECK(decode_reply(forged(good, 6, uint8_t{4})) == DecodeStatus::kBadField);
  CHECK(decode_reply(forged(good, 28, uint32_t{kMaxReplyBytes + 1})) == DecodeStatus::kBadField);
  for (const size_t reserved : {7, 26})
    CHECK(decode_reply(forged(good, reserved, uint8_t{1})) == DecodeStatus::kBadField);
}

TEST_CASE("random bytes behind a right checksum decode to frames inside their limits or not at all") {
  std::mt19937_64 random(1);
  uint32_t accepted = 0;
  for (uint32_t i = 0; i < 200'000; i++) {
    Bytes128 bytes = encoded(some_invocation());
    for (uint32_t edits = random() % 4; edits > 0; edits--) bytes[random() % 120] = static_cast<std::byte>(random());
    bytes = forged(bytes, 0, kMagic);
    InvocationFrame frame;
    if (decode(bytes, frame) != DecodeStatus::kOk) continue;
    accepted++;
    REQUIRE(frame.argument_count <= kMaxArguments);
    REQUIRE(frame.payload_bytes <= kMaxPayloadBytes);
    REQUIRE(frame.reply_room <= kMaxReplyBytes);
    REQUIRE(encoded(frame) == bytes);  // nothing was read that is not in the frame
  }
  CHECK(accepted > 1000);
}
