#include "nic/wire/frame.h"

#include <bit>
#include <cstring>

#include "nic/wire/checksum.h"
#include "runtime/base/check.h"

namespace tiara::nic::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are little-endian in memory");

struct Preamble {
  uint32_t magic;
  uint8_t version;
  uint8_t kind;
  uint8_t small;  // argument count, or status
  uint8_t zero;
};

struct RawInvocation {
  Preamble preamble;
  uint64_t request_id;
  uint32_t tenant;
  uint32_t operation;
  uint32_t space;
  uint32_t payload_bytes;
  uint32_t reply_room;
  uint32_t zero0;
  uint64_t zero1;
  uint64_t arguments[kMaxArguments];
  uint64_t zero2[3];
  uint64_t checksum;
};

struct RawReply {
  Preamble preamble;
  uint64_t request_id;
  uint32_t tenant;
  uint32_t pc;
  uint16_t code;
  uint16_t zero0;
  uint32_t reply_bytes;
  uint64_t results[kResultRegisters];
  uint64_t counts[7];
  uint64_t checksum;
};

static_assert(sizeof(RawInvocation) == kFrameBytes && sizeof(RawReply) == kFrameBytes);
static_assert(offsetof(RawInvocation, arguments) == 48 && offsetof(RawReply, counts) == 64);
static_assert(sizeof(Counts) == sizeof(RawReply::counts), "a new count needs room in the reply frame");

template <typename Raw>
void finish(Raw& raw, FrameBytes out) noexcept {
  raw.checksum = checksum_of(raw);
  std::memcpy(out.data(), &raw, kFrameBytes);
}

template <typename Raw>
DecodeStatus check_preamble(const Raw& raw, FrameKind kind) noexcept {
  if (raw.preamble.magic != kMagic) return DecodeStatus::kBadMagic;
  if (raw.preamble.version != kVersion) return DecodeStatus::kBadVersion;
  if (raw.preamble.kind != static_cast<uint8_t>(kind)) return DecodeStatus::kBadKind;
  if (raw.checksum != checksum_of(raw)) return DecodeStatus::kBadChecksum;
  return raw.preamble.zero == 0 ? DecodeStatus::kOk : DecodeStatus::kBadField;
}

}  // namespace

const char* to_string(DecodeStatus status) noexcept {
  switch (status) {
    case DecodeStatus::kOk: return "well-formed";
    case DecodeStatus::kBadMagic: return "not a Tiara frame";
    case DecodeStatus::kBadVersion: return "another protocol version";
    case DecodeStatus::kBadKind: return "unexpected kind of frame";
    case DecodeStatus::kBadChecksum: return "checksum mismatch";
    case DecodeStatus::kBadField: return "field out of range";
  }
  return "unknown";
}

void encode(const InvocationFrame& frame, FrameBytes out) noexcept {
  TIARA_CHECK(frame.argument_count <= kMaxArguments && frame.payload_bytes <= kMaxPayloadBytes &&
              frame.reply_room <= kMaxReplyBytes);
  RawInvocation raw{};
  raw.preamble = {kMagic, kVersion, static_cast<uint8_t>(FrameKind::kInvocation),
                  static_cast<uint8_t>(frame.argument_count), 0};
  raw.request_id = frame.request_id;
  raw.tenant = frame.tenant.value;
  raw.operation = frame.operation.value;
  raw.space = frame.space.value;
  raw.payload_bytes = frame.payload_bytes;
  raw.reply_room = frame.reply_room;
  for (uint32_t i = 0; i < frame.argument_count; i++) raw.arguments[i] = frame.arguments[i];
  finish(raw, out);
}

void encode(const ReplyFrame& frame, FrameBytes out) noexcept {
  const Outcome& outcome = frame.outcome;
  TIARA_CHECK(outcome.reply_bytes <= kMaxReplyBytes);
  RawReply raw{};
  raw.preamble = {kMagic, kVersion, static_cast<uint8_t>(FrameKind::kReply), static_cast<uint8_t>(outcome.status), 0};
  raw.request_id = frame.request_id;
  raw.tenant = frame.tenant.value;
  raw.pc = outcome.pc;
  raw.code = outcome.code;
  raw.reply_bytes = static_cast<uint32_t>(outcome.reply_bytes);
  std::memcpy(raw.results, outcome.results.data(), sizeof raw.results);
  std::memcpy(raw.counts, &outcome.counts, sizeof raw.counts);
  finish(raw, out);
}

DecodeStatus decode(ConstFrameBytes bytes, InvocationFrame& frame) noexcept {
  RawInvocation raw;
  std::memcpy(&raw, bytes.data(), kFrameBytes);
  if (const auto status = check_preamble(raw, FrameKind::kInvocation); status != DecodeStatus::kOk) return status;
  const uint32_t count = raw.preamble.small;
  if (count > kMaxArguments || raw.payload_bytes > kMaxPayloadBytes || raw.reply_room > kMaxReplyBytes)
    return DecodeStatus::kBadField;
  uint64_t reserved = raw.zero0 | raw.zero1 | raw.zero2[0] | raw.zero2[1] | raw.zero2[2];
  for (uint32_t i = count; i < kMaxArguments; i++) reserved |= raw.arguments[i];
  if (reserved != 0) return DecodeStatus::kBadField;
  frame = {raw.request_id, {raw.tenant}, {raw.operation}, {raw.space}, raw.payload_bytes, raw.reply_room, count, {}};
  std::memcpy(frame.arguments.data(), raw.arguments, sizeof raw.arguments);
  return DecodeStatus::kOk;
}

DecodeStatus decode(ConstFrameBytes bytes, ReplyFrame& frame) noexcept {
  RawReply raw;
  std::memcpy(&raw, bytes.data(), kFrameBytes);
  if (const auto status = check_preamble(raw, FrameKind::kReply); status != DecodeStatus::kOk) return status;
  if (raw.preamble.small > static_cast<uint8_t>(Status::kRefused) || raw.reply_bytes > kMaxReplyBytes || raw.zero0 != 0)
    return DecodeStatus::kBadField;
  frame = {};
  frame.request_id = raw.request_id;
  frame.tenant = {raw.tenant};
  frame.outcome.status = static_cast<Status>(raw.preamble.small);
  frame.outcome.code = raw.code;
  frame.outcome.pc = raw.pc;
  frame.outcome.reply_bytes = raw.reply_bytes;
  std::memcpy(frame.outcome.results.data(), raw.results, sizeof raw.results);
  std::memcpy(&frame.outcome.counts, raw.counts, sizeof raw.counts);
  return DecodeStatus::kOk;
}

}  // namespace tiara::nic::wire
