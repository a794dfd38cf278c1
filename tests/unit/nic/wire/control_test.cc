#include "nic/wire/control.h"

#include <random>

#include <catch2/catch.hpp>

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::wire;

namespace {

NodeInfo some_info() { return {{1 << 30}, {1 << 20}, 4, uint64_t{1} << 36, {{"pt_read", {1}}, {"pt_write", {2}}}}; }

struct Split {
  ControlHeader header;
  Body body;
};

Result<Split> split(std::span<const std::byte> frame) {
  TIARA_TRY(const ControlHeader header, decode_control_header(frame));
  const auto body = frame.subspan(kControlHeaderBytes);
  TIARA_TRY_VOID(check_body(header, body));
  return Split{header, Body(body.begin(), body.end())};
}

}  // namespace

TEST_CASE("a control request survives the wire") {
  const Body frame = encode_request(ControlOperation::kCreateSpace, 77, {3}, encode_number(512));
  const auto read = split(frame);
  REQUIRE(read);
  CHECK(read->header.kind == FrameKind::kControlRequest);
  CHECK(read->header.operation == ControlOperation::kCreateSpace);
  CHECK(read->header.request_id == 77);
  CHECK(read->header.tenant == TenantId{3});
  CHECK(*decode_number(read->body) == 512);
}

TEST_CASE("a reply carries a body, or an error as one printable line") {
  const ControlHeader request{FrameKind::kControlRequest, ControlOperation::kInfo, 5, {1}, 0, 0, 0};
  const auto good = split(encode_reply(request, Body(encode(some_info()))));
  REQUIRE(good);
  CHECK(good->header.status == 0);
  CHECK(decode_info(good->body)->operators == some_info().operators);

  const auto bad = split(encode_reply(request, fail(ErrorCode::kResourceExhausted, "no\n\x1b[31mroom")));
  REQUIRE(bad);
  CHECK(bad->header.request_id == 5);
  const Error error = decode_error(bad->header, bad->body);
  CHECK(error.code == ErrorCode::kResourceExhausted);
  CHECK(error.message == "no  [31mroom");
}

TEST_CASE("every body survives the wire and is refused when cut short or followed by bytes") {
  const Hello hello{32, "secret"};
  const Welcome welcome{1, {2}, 3, 4, 5, 6};
  const DataRequest data{{8}, {4096}};
  CHECK(*decode_hello(encode(hello)) == hello);
  CHECK(*decode_welcome(encode(welcome)) == welcome);
  CHECK(*decode_data_request(encode(data)) == data);
  CHECK(decode_info(encode(some_info()))->max_pages == some_info().max_pages);
  CHECK_FALSE(decode_id(encode_number(uint64_t{1} << 32)));
  const auto refused = [](Body body, auto decode) {
    for (size_t length = 0; length < body.size(); length++) CHECK_FALSE(decode(std::span(body).first(length)));
    body.push_back(std::byte{0});
    CHECK_FALSE(decode(body));
  };
  refused(encode(hello), decode_hello);
  refused(encode(welcome), decode_welcome);
  refused(encode(data), decode_data_request);
  refused(encode(some_info()), decode_info);
  refused(encode_number(1), decode_number);
}

TEST_CASE("a body that does not match its header is refused") {
  Body frame = encode_request(ControlOperation::kHello, 1, {}, encode(Hello{32, "token"}));
  frame.back() ^= std::byte{1};
  CHECK_FALSE(split(frame));
  frame.pop_back();
  CHECK_FALSE(split(frame));
  CHECK_FALSE(decode_control_header(std::span(frame).first(kControlHeaderBytes - 1)));
}

TEST_CASE("every flipped bit of a control header is noticed") {
  const Body good = encode_request(ControlOperation::kInfo, 1, {}, {});
  for (size_t bit = 0; bit < kControlHeaderBytes * 8; bit++) {
    Body bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    CHECK_FALSE(decode_control_header(bad));
  }
}

TEST_CASE("random bodies never confuse a decoder") {
  std::mt19937_64 random(2);
  for (uint32_t i = 0; i < 20'000; i++) {
    Body body(random() % 96);
    for (auto& byte : body) byte = static_cast<std::byte>(random() % 4 == 0 ? random() : 0);
    const auto info = decode_info(body);
    if (info) REQUIRE(encode(*info) == body);
    const auto hello = decode_hello(body);
    if (hello) REQUIRE(encode(*hello) == body);
    (void)decode_welcome(body);
    (void)decode_data_request(body);
    (void)decode_control_header(body);
  }
}
