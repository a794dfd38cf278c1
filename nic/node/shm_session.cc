#include "nic/node/shm_session.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <sys/mman.h>

#include "runtime/base/check.h"
#include "runtime/os/futex.h"
#include "runtime/os/socket.h"

namespace tiara::nic {

using wire::Lane;
using wire::SlotState;

Result<ShmSession::Opened> ShmSession::open(std::unique_ptr<Session> session, uint32_t slots) {
  TIARA_CHECK(slots >= 1 && slots <= wire::kMaxSlots);
  const Bytes size{wire::segment_bytes(slots)};
  TIARA_TRY(UniqueFd fd, os::create_memfd("tiara-session", size));
  TIARA_TRY_VOID(os::seal_memfd(fd, os::Seal::kSize));
  TIARA_TRY(os::Mapping segment, os::Mapping::shared(fd, size));
  TIARA_TRY(UniqueFd doorbell, os::create_event());
  auto* header = reinterpret_cast<wire::SegmentHeader*>(segment.data());
  header->magic = wire::kShmMagic;
  header->version = wire::kShmVersion;
  header->slots = slots;
  std::shared_ptr<ShmSession> opened(
      new ShmSession(std::move(session), std::move(segment), std::move(doorbell), slots));
  return Opened{std::move(opened), std::move(fd)};
}

ShmSession::ShmSession(std::unique_ptr<Session> session, os::Mapping segment, UniqueFd doorbell,
                       uint32_t slots) noexcept
    : session_(std::move(session)),
      segment_(std::move(segment)),
      doorbell_(std::move(doorbell)),
      slots_(slots),
      slot_mask_(slots == 64 ? ~uint64_t{0} : (uint64_t{1} << slots) - 1) {}

wire::SegmentHeader& ShmSession::header() const noexcept {
  return *reinterpret_cast<wire::SegmentHeader*>(segment_.data());
}

bool ShmSession::has_work() const noexcept {
  // Sequentially consistent: the worker looks here after it has said on the board that it sleeps (shm_layout.h).
  if (taken_ != 0) return true;
  for (const auto& word : header().submitted)
    if ((word.load(std::memory_order_seq_cst) & slot_mask_) != 0) return true;
  return false;
}

os::Nanoseconds ShmSession::rung_at(os::Nanoseconds earliest, os::Nanoseconds now) const noexcept {
  const os::Nanoseconds claimed(static_cast<int64_t>(header().rung_at.load(std::memory_order_relaxed)));
  return std::clamp(claimed, earliest, now);
}

uint32_t ShmSession::serve(uint32_t most_calls) noexcept {
  uint32_t served = 0;
  auto& calls = header().submitted[static_cast<uint32_t>(Lane::kCall)];
  // Relaxed look first: an exchange takes the line away from clients that are about to submit. Acquire: pairs with
  // the client's submission.
  if (taken_ == 0 && calls.load(std::memory_order_relaxed) != 0)
    taken_ = calls.exchange(0, std::memory_order_acquire) & slot_mask_;
  for (; taken_ != 0 && served < most_calls; taken_ &= taken_ - 1, served++)
    serve_slot(static_cast<uint32_t>(std::countr_zero(taken_)));
  auto& posted = header().submitted[static_cast<uint32_t>(Lane::kPosted)];
  if (const uint64_t bits = posted.load(std::memory_order_relaxed) & slot_mask_; bits != 0) {
    const uint64_t bit = bits & -bits;
    if ((posted.fetch_and(~bit, std::memory_order_acquire) & bit) != 0) {
      serve_slot(static_cast<uint32_t>(std::countr_zero(bit)));
      served++;
    }
  }
  return served;
}

void ShmSession::serve_slot(uint32_t index) noexcept {
  auto& slot = reinterpret_cast<wire::SegmentSlot*>(segment_.data() + wire::kSlotsOffset)[index];
  std::array<std::byte, wire::kFrameBytes> bytes;
  std::memcpy(bytes.data(), slot.invocation.data(), bytes.size());
  client_cpu_ = slot.cpu.load(std::memory_order_relaxed);
  wire::InvocationFrame frame;
  wire::ReplyFrame reply;
  if (wire::decode(bytes, frame) == wire::DecodeStatus::kOk) {
    const std::span<const std::byte> payload(segment_.data() + wire::payload_offset(index), frame.payload_bytes);
    const std::span<std::byte> room(segment_.data() + wire::reply_offset(index), frame.reply_room);
    reply.outcome = session_->invoke(frame, payload, room);
    reply.request_id = frame.request_id;
  } else {
    reply.outcome = session_->refuse(Refusal::kMalformedFrame);
  }
  reply.tenant = session_->tenant();
  wire::encode(reply, slot.reply);
  // A sleeper would count its own waking up as our slowness: tell it when we were done.
  if (slot.state.load(std::memory_order_relaxed) == static_cast<uint32_t>(SlotState::kAwaited))
    slot.done_at.store(static_cast<uint64_t>(os::monotonic_now().count()), std::memory_order_relaxed);
  // Release: reply and bytes are seen by whoever sees kDone.
  const uint32_t before = slot.state.exchange(static_cast<uint32_t>(SlotState::kDone), std::memory_order_acq_rel);
  if (before == static_cast<uint32_t>(SlotState::kAwaited)) os::futex_wake_one(slot.state, os::FutexScope::kShared);
}

}  // namespace tiara::nic
