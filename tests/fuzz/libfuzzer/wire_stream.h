// Streams of messages as a fuzzer writes them: right ones, forged ones (the checksum holds, the fields are anybody's),
// damaged ones, cut ones and plain bytes. And what a reader of such a stream must make of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "nic/wire/control.h"
#include "nic/wire/frame.h"
#include "nic/wire/handshake.h"
#include "runtime/base/hash.h"

namespace tiara::nic::fuzz {

// The input, read once from the front; zeros behind its end.
class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool is_empty() const { return bytes_.empty(); }
  uint8_t byte() { return number<uint8_t>(); }
  template <typename T>
  T number() {
    T value{};
    const auto taken = take(sizeof value);
    std::copy(taken.begin(), taken.end(), reinterpret_cast<std::byte*>(&value));
    return value;
  }
  std::span<const std::byte> take(size_t wanted) {
    const auto taken = bytes_.first(std::min(wanted, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return std::as_bytes(taken);
  }

 private:
  std::span<const uint8_t> bytes_;
};

using Stream = std::vector<std::byte>;

inline void append(Stream& stream, std::span<const std::byte> bytes) {
  stream.insert(stream.end(), bytes.begin(), bytes.end());
}

// `frame` and `payload` bytes of it behind it, as wire::seal_bytes wants them.
template <typename Frame>
void append_message(Stream& stream, const Frame& frame, std::span<const std::byte> payload) {
  const size_t at = stream.size();
  stream.resize(at + wire::message_bytes(payload.size()));
  wire::encode(frame, std::span(stream).subspan(at).first<wire::kFrameBytes>());
  std::copy(payload.begin(), payload.end(), stream.begin() + static_cast<ptrdiff_t>(at + wire::kFrameBytes));
  wire::seal_bytes(stream.data() + at + wire::kFrameBytes, payload.size());
}

// A payload of up to what one message may carry, which is rare; most are small.
inline std::vector<std::byte> some_payload(Input& input) {
  const uint8_t kind = input.byte();
  const size_t size = kind < 240 ? kind : kind == 255 && input.byte() == 255 ? kMaxPayloadBytes : size_t{kind} * 64;
  std::vector<std::byte> payload(size, std::byte{kind});
  std::ranges::copy(input.take(std::min<size_t>(size, 32)), payload.begin());
  return payload;
}

// One of the input's bits of the stream from `begin` on is flipped.
inline void damage(Stream& stream, size_t begin, Input& input) {
  if (stream.size() == begin) return;
  const size_t at = begin + input.number<uint32_t>() % (stream.size() - begin);
  stream[at] ^= std::byte{1} << (input.byte() % 8);
}

// A field of the frame at `begin` is the input's, and the checksum holds nevertheless.
inline void forge(Stream& stream, size_t begin, Input& input) {
  if (stream.size() < begin + wire::kFrameBytes) return;
  const auto frame = std::span(stream).subspan(begin).first<wire::kFrameBytes>();
  const size_t at = input.byte() % (wire::kFrameBytes - 2 * sizeof(uint64_t));
  const auto field = input.take(1 + input.byte() % sizeof(uint64_t));
  std::ranges::copy(field, frame.begin() + static_cast<ptrdiff_t>(at));
  const uint64_t checksum = hash_bytes(frame.first<wire::kFrameBytes - sizeof(uint64_t)>());
  std::memcpy(frame.data() + wire::kFrameBytes - sizeof checksum, &checksum, sizeof checksum);
}

inline uint64_t payload_of(const wire::InvocationFrame& frame) { return frame.payload_bytes; }
inline uint64_t payload_of(const wire::ReplyFrame& frame) { return frame.outcome.reply_bytes; }

// The whole messages at the start of `stream`, and what follows them. A frame that is not acceptable breaks the stream
// before its bytes are looked at.
enum class End : uint8_t { kBoundary, kCut, kBroken };
template <typename Frame, typename Accept>
End read_all(std::span<const std::byte> stream, std::vector<Frame>& frames, Accept is_acceptable) {
  while (stream.size() >= wire::kFrameBytes) {
    Frame frame;
    if (wire::decode(stream.first<wire::kFrameBytes>(), frame) != wire::DecodeStatus::kOk) return End::kBroken;
    if (!is_acceptable(frame)) return End::kBroken;
    const uint64_t payload = payload_of(frame);
    if (stream.size() < wire::message_bytes(payload)) return End::kCut;
    if (!wire::is_intact(stream.data() + wire::kFrameBytes, payload)) return End::kBroken;
    frames.push_back(frame);
    stream = stream.subspan(wire::message_bytes(payload));
  }
  return stream.empty() ? End::kBoundary : End::kCut;
}

// The same for questions on a control connection.
inline void forge_header(Stream& stream, size_t begin, Input& input) {
  const auto header = std::span(stream).subspan(begin).first<wire::kControlHeaderBytes>();
  const auto field = input.take(1 + input.byte() % sizeof(uint64_t));
  const size_t at = input.byte() % (wire::kControlHeaderBytes - 2 * sizeof(uint64_t));
  std::ranges::copy(field, header.begin() + static_cast<ptrdiff_t>(at));
  const uint64_t checksum = hash_bytes(header.first<wire::kControlHeaderBytes - sizeof(uint64_t)>());
  std::memcpy(header.data() + wire::kControlHeaderBytes - sizeof checksum, &checksum, sizeof checksum);
}

inline End read_questions(std::span<const std::byte> stream, std::vector<wire::ControlHeader>& questions) {
  while (stream.size() >= wire::kControlHeaderBytes) {
    const auto header = wire::decode_control_header(stream);
    if (!header || header->kind != wire::FrameKind::kControlRequest) return End::kBroken;
    if (stream.size() < wire::kControlHeaderBytes + header->body_bytes) return End::kCut;
    if (!wire::check_body(*header, stream.subspan(wire::kControlHeaderBytes, header->body_bytes))) return End::kBroken;
    questions.push_back(*header);
    stream = stream.subspan(wire::kControlHeaderBytes + header->body_bytes);
  }
  return stream.empty() ? End::kBoundary : End::kCut;
}

}  // namespace tiara::nic::fuzz
