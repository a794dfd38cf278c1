// From a caller's request to the frame and the payload that travel.
#pragma once

#include <algorithm>
#include <optional>

#include "nic/transport/channel.h"
#include "nic/wire/frame.h"

namespace tiara::nic {

// The frame for `request`, or the refusal that its sizes deserve (nothing travels then).
inline std::optional<Refusal> make_frame(const Request& request, size_t reply_room, uint64_t request_id,
                                         TenantId tenant, wire::InvocationFrame& frame) noexcept {
  size_t payload = 0;
  for (const auto part : request.payload) payload += part.size();
  if (request.arguments.size() > kMaxArguments) return Refusal::kArgumentCount;
  if (payload > kMaxPayloadBytes) return Refusal::kPayloadSize;
  frame.request_id = request_id;
  frame.tenant = tenant;
  frame.operation = request.operation;
  frame.space = request.space;
  frame.payload_bytes = static_cast<uint32_t>(payload);
  frame.reply_room = static_cast<uint32_t>(reply_room < kMaxReplyBytes ? reply_room : kMaxReplyBytes);
  frame.argument_count = static_cast<uint32_t>(request.arguments.size());
  for (uint32_t i = 0; i < frame.argument_count; i++) frame.arguments[i] = request.arguments[i];
  return std::nullopt;
}

// `out` has room for all parts: make_frame() has accepted the request.
inline void copy_payload(const Request& request, std::byte* out) noexcept {
  for (const auto part : request.payload) out = std::copy(part.begin(), part.end(), out);
}

inline Reply refused(Refusal reason) noexcept {
  Reply reply;
  reply.call = CallStatus::kAnswered;
  reply.outcome.status = Status::kRefused;
  reply.outcome.code = static_cast<uint16_t>(reason);
  return reply;
}

}  // namespace tiara::nic
