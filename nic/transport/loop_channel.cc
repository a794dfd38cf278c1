#include "nic/transport/loop_channel.h"

#include <sys/mman.h>

#include "nic/transport/request_frame.h"
#include "runtime/base/check.h"

namespace tiara::nic {
namespace {

// The payload where it lies, when its parts happen to follow each other there.
std::optional<std::span<const std::byte>> contiguous(const Request& request) noexcept {
  std::span<const std::byte> whole;
  for (const auto part : request.payload) {
    if (part.empty()) continue;
    if (!whole.empty() && whole.data() + whole.size() != part.data()) return std::nullopt;
    whole = whole.empty() ? part : std::span(whole.data(), whole.size() + part.size());
  }
  return whole;
}

}  // namespace

LoopChannel::LoopChannel(std::shared_ptr<MemoryNode> node, std::unique_ptr<Session> session,
                         os::Mapping bounce) noexcept
    : node_(std::move(node)), session_(std::move(session)), bounce_(std::move(bounce)) {}

LoopChannel::~LoopChannel() = default;

Result<std::unique_ptr<LoopChannel>> LoopChannel::create(std::shared_ptr<MemoryNode> node, std::string_view token) {
  TIARA_TRY(auto session, node->open_session(token));
  // Shared memory: it plays the link, and is not the program's anonymous memory.
  constexpr Bytes kBounceBytes{kSlots * kMaxPayloadBytes};
  TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-loop", kBounceBytes));
  TIARA_TRY(os::Mapping bounce, os::Mapping::shared(fd, kBounceBytes));
  os::raw_madvise(bounce.data(), bounce.size(), MADV_DONTFORK);
  return std::unique_ptr<LoopChannel>(new LoopChannel(std::move(node), std::move(session), std::move(bounce)));
}

Outcome LoopChannel::invoke(const Request& request, std::span<std::byte> reply_room) noexcept {
  wire::InvocationFrame frame;
  if (const auto refusal = make_frame(request, reply_room.size(), 0, session_->tenant(), frame))
    return session_->refuse(*refusal);
  const auto reply = reply_room.first(frame.reply_room);
  if (const auto payload = contiguous(request)) return session_->invoke(frame, *payload, reply);

  // Every holder of a bounce area is inside one bounded invocation, so this wait ends.
  constexpr std::chrono::milliseconds kSlice{100};
  uint32_t slot = SlotPool::kNone;
  while (slot == SlotPool::kNone) slot = bounces_.take(wire::Lane::kCall, kSlice);
  std::byte* const area = bounce_.data() + slot * kMaxPayloadBytes;
  copy_payload(request, area);
  const Outcome outcome = session_->invoke(frame, {area, frame.payload_bytes}, reply);
  bounces_.release(slot);
  return outcome;
}

Reply LoopChannel::call(const Request& request, std::span<std::byte> reply_room) noexcept {
  return {CallStatus::kAnswered, invoke(request, reply_room)};
}

Ticket LoopChannel::post(const Request& request, std::span<std::byte> reply_room) noexcept {
  const uint32_t slot = tickets_.try_take(wire::Lane::kPosted);
  if (slot == SlotPool::kNone) return {};
  answers_[slot] = invoke(request, reply_room);
  return {slot};
}

bool LoopChannel::is_done(Ticket ticket) noexcept {
  TIARA_CHECK(tickets_.is_taken(ticket.value));
  return true;
}

Reply LoopChannel::collect(Ticket ticket) noexcept {
  TIARA_CHECK(tickets_.is_taken(ticket.value));
  const Outcome outcome = answers_[ticket.value];
  tickets_.release(ticket.value);
  return {CallStatus::kAnswered, outcome};
}

}  // namespace tiara::nic
