// libFuzzer: any bytes as what comes from the network. The first byte picks the decoder; the rest is decoded as it is,
// and once more with the checksum made right (which no fuzzer would find, but a forger would). Every decoder is total,
// and what it accepts writes itself back to the same bytes: no byte is ignored, no two encodings mean the same.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "nic/wire/control.h"
#include "nic/wire/frame.h"
#include "nic/wire/handshake.h"
#include "runtime/base/hash.h"

namespace {

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::wire;
using View = std::span<const std::byte>;

void require(bool holds) {
  if (!holds) std::abort();
}

// Everything that is one fixed size and ends with the checksum of what stands before it.
template <typename Message, size_t kSize>
void decode_fixed(View input) {
  std::array<std::byte, kSize> bytes{};
  std::copy_n(input.begin(), std::min(input.size(), kSize), bytes.begin());
  const auto look = [&] {
    Message message;
    if (decode(bytes, message) != DecodeStatus::kOk) return;
    std::array<std::byte, kSize> again;
    encode(message, again);
    require(again == bytes);
  };
  look();
  const uint64_t checksum = hash_bytes(std::span(bytes).first(kSize - sizeof(uint64_t)));
  std::memcpy(bytes.data() + kSize - sizeof checksum, &checksum, sizeof checksum);
  look();
}

bool is_one_line(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void decode_control(Body frame) {
  const auto header = decode_control_header(frame);
  if (!header) return;
  const View body = View(frame).subspan(kControlHeaderBytes);
  if (!check_body(*header, body)) return;
  if (header->status != 0) {
    require(is_one_line(decode_error(*header, body).message));
  } else if (header->kind == FrameKind::kControlRequest) {
    require(encode_request(header->operation, header->request_id, header->tenant, body) == frame);
  } else {
    require(encode_reply(*header, Body(body.begin(), body.end())) == frame);
  }
}

// As it is, and with length, hash and checksum made right.
void decode_control_twice(View input) {
  Body frame(input.begin(), input.end());
  decode_control(frame);
  if (frame.size() < kControlHeaderBytes) return;
  const View body = View(frame).subspan(kControlHeaderBytes);
  const auto body_bytes = static_cast<uint32_t>(body.size());
  const uint64_t body_hash = body.empty() ? 0 : hash_bytes(body);
  std::memcpy(frame.data() + 20, &body_bytes, sizeof body_bytes);
  std::memcpy(frame.data() + 32, &body_hash, sizeof body_hash);
  const uint64_t checksum = hash_bytes(View(frame).first(56));
  std::memcpy(frame.data() + 56, &checksum, sizeof checksum);
  decode_control(frame);
}

template <typename Decode, typename Encode>
void decode_body(View body, Decode decode_it, Encode encode_it) {
  const auto message = decode_it(body);
  if (message) require(std::ranges::equal(encode_it(*message), body));
}

void decode_bodies(View body) {
  const auto encode_it = [](const auto& message) { return encode(message); };
  decode_body(body, decode_hello, encode_it);
  decode_body(body, decode_welcome, encode_it);
  decode_body(body, decode_info, encode_it);
  decode_body(body, decode_data_request, encode_it);
  decode_body(body, decode_clone_request, encode_it);
  decode_body(body, decode_cloned_space, encode_it);
  decode_body(body, decode_number, encode_number);
  decode_body(body, decode_id, encode_number);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const View input = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 6) {
    case 0: decode_fixed<InvocationFrame, kFrameBytes>(input); break;
    case 1: decode_fixed<ReplyFrame, kFrameBytes>(input); break;
    case 2: decode_fixed<Handshake, kHandshakeBytes>(input); break;
    case 3: decode_fixed<HandshakeReply, kHandshakeReplyBytes>(input); break;
    case 4: decode_control_twice(input); break;
    case 5: decode_bodies(input); break;
  }
  return 0;
}
