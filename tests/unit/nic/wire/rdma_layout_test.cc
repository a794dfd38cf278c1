#include "nic/wire/rdma_layout.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using namespace tiara::nic::wire;

namespace {

RdmaHello some_hello() { return {16, 0x1234, 0x7f00'0000'0000, rdma_slab_bytes(16)}; }

}  // namespace

TEST_CASE("what opens an RDMA connection survives encoding, with zeros behind it") {
  std::array<std::byte, 56> padded{};
  encode(some_hello(), std::span(padded).first<kRdmaHelloBytes>());
  RdmaHello hello;
  REQUIRE(decode(padded, hello) == DecodeStatus::kOk);
  CHECK(hello == some_hello());
  padded = {};
  encode(RdmaWelcome{9}, std::span(padded).first<kRdmaWelcomeBytes>());
  RdmaWelcome welcome;
  REQUIRE(decode(padded, welcome) == DecodeStatus::kOk);
  CHECK(welcome == RdmaWelcome{9});
  std::array<std::byte, kRdmaPoolBytes> bytes;
  encode(RdmaPool{1 << 20, 4096, 7}, bytes);
  RdmaPool pool;
  REQUIRE(decode(bytes, pool) == DecodeStatus::kOk);
  CHECK(pool == RdmaPool{1 << 20, 4096, 7});
}

TEST_CASE("a slab that is not what the slots need, or leaves the address space, is refused") {
  const auto status_of = [](const RdmaHello& hello) {
    std::array<std::byte, kRdmaHelloBytes> bytes;
    encode(hello, bytes);
    RdmaHello decoded;
    return decode(bytes, decoded);
  };
  CHECK(status_of(some_hello()) == DecodeStatus::kOk);
  RdmaHello hello = some_hello();
  hello.slab_bytes -= 1;
  CHECK(status_of(hello) == DecodeStatus::kBadField);
  hello = some_hello();
  hello.slab_address = UINT64_MAX - hello.slab_bytes + 1;
  CHECK(status_of(hello) == DecodeStatus::kBadField);
  for (const uint32_t slots : {0u, kMinSlots - 1, kMaxSlots + 1, UINT32_MAX}) {
    hello = {slots, 1, 1 << 20, rdma_slab_bytes(slots)};
    CHECK(status_of(hello) == DecodeStatus::kBadField);
  }
}

TEST_CASE("noise and short data are no hello, no welcome and no immediate") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; i++) {
    std::vector<std::byte> noise(random() % 64);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
    RdmaHello hello;
    RdmaWelcome welcome;
    CHECK(decode(noise, hello) != DecodeStatus::kOk);
    CHECK(decode(noise, welcome) != DecodeStatus::kOk);
  }
  uint32_t valid = 0;
  for (uint32_t value = 0; value < 1 << 16; value++) {
    const auto decoded = decode_rdma_immediate(value);
    if (!decoded) continue;
    valid++;
    CHECK(rdma_immediate(decoded->request, decoded->bytes) == value);
  }
  CHECK(valid == 4 * 2);
}

TEST_CASE("areas of a slab lie behind each other") {
  CHECK(kRdmaQuestionOffset + kRdmaAreaBytes == kRdmaAnswerOffset);
  CHECK(kRdmaAnswerOffset + kRdmaAreaBytes == rdma_request_offset(0));
  CHECK(rdma_request_offset(0) + kRdmaAreaBytes == rdma_reply_offset(0));
  CHECK(rdma_reply_offset(4) + kRdmaAreaBytes == rdma_request_offset(5));
  CHECK(rdma_reply_offset(31) + kRdmaAreaBytes == rdma_slab_bytes(32));
}
