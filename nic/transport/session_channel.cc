#include "nic/transport/session_channel.h"

#include <algorithm>
#include <bit>

#include "nic/node/lease.h"
#include "nic/transport/link_pace.h"
#include "nic/transport/request_frame.h"
#include "runtime/base/check.h"
#include "runtime/base/happens_before.h"
#include "runtime/os/futex.h"

namespace tiara::nic {

using os::FutexScope;
using os::Nanoseconds;
using wire::Lane;

SessionChannel::SessionChannel(const wire::HandshakeReply& welcome, Nanoseconds timeout, Lines lines,
                               Leading leading) noexcept
    : timeout_(timeout),
      lease_(std::chrono::milliseconds(welcome.lease_ms)),
      tenant_(welcome.tenant),
      slot_count_(welcome.slots),
      has_one_line_(lines == Lines::kOneForAll),
      spins_(leading == Leading::kSpins),
      slots_(slot_count_) {}

Result<void> SessionChannel::start() {
  let_go_message_ = wire::encode_request(wire::ControlOperation::kLetGo, UINT64_MAX, tenant_, {});
  TIARA_TRY(thread_, os::Thread::start("tiara-link", [this] { watch_link(); }));
  return {};
}

void SessionChannel::stop() noexcept {
  let_go();
  is_stopping_.store(1, std::memory_order_release);  // pairs with watch_link()
  os::futex_wake_all(is_stopping_, FutexScope::kPrivate);
  disturb();
  thread_.join();
}

// --- sending ---

std::optional<Refusal> SessionChannel::write_frame(Slot& slot, const Request& request, std::span<std::byte> reply_room,
                                                   std::byte* message) const noexcept {
  wire::InvocationFrame frame;
  if (const auto refusal = make_frame(request, reply_room.size(), slot.request_id, tenant_, frame)) return refusal;
  slot.reply_room = reply_room.first(frame.reply_room);
  wire::encode(frame, wire::FrameBytes(message, wire::kFrameBytes));
  copy_payload(request, message + wire::kFrameBytes);
  wire::seal_bytes(message + wire::kFrameBytes, frame.payload_bytes);
  slot.message_bytes = static_cast<uint32_t>(wire::message_bytes(frame.payload_bytes));
  return std::nullopt;
}

// Makes the message; false: the request is refused and does not travel.
bool SessionChannel::prepare(uint32_t index, Lane lane, const Request& request,
                             std::span<std::byte> reply_room) noexcept {
  Slot& slot = slot_table_[index];
  slot.request_id = stream_request_id(index, ++slot.sequence);
  slot.lane = lane;
  slot.sent_in_epoch = 0;
  slot.refusal = write_message(index, request, reply_room).value_or(Refusal::kNone);
  if (slot.refusal != Refusal::kNone) return false;
  // Releases all of the above to the leader that delivers the answer and to the link thread.
  slot.state.store(static_cast<uint32_t>(SlotState::kPending), std::memory_order_seq_cst);
  return true;
}

// Sends the messages of some slots of one line. While the link is down nothing is sent: the link thread sends what it
// finds pending when it is up again.
void SessionChannel::transmit(std::span<const uint32_t> indices) noexcept {
  if (indices.empty() || is_down(link_word())) return;
  Line& line = line_of(slot_table_[indices.front()].lane);
  if (!line.send_lock.acquire_until(os::monotonic_now() + timeout_)) return;
  // Sequentially consistent: either the link thread, which holds this lock while it looks, saw the slots pending, or
  // the link is seen up here.
  const uint32_t word = link_word_.load(std::memory_order_seq_cst);
  const bool is_broken = !is_down(word) && !send_unsent(line, indices, word);
  line.send_lock.release();
  if (is_broken) report_broken(word);
}

// With the send lock. Of these slots the link thread may have been faster to send some.
bool SessionChannel::send_unsent(Line& line, std::span<const uint32_t> indices, uint32_t link_word) noexcept {
  std::array<uint32_t, wire::kMaxSlots> unsent;
  size_t count = 0;
  for (const uint32_t index : indices) {
    Slot& slot = slot_table_[index];
    if (slot.sent_in_epoch == link_word) continue;
    slot.sent_in_epoch = link_word;
    happens_before(&slot);  // fill()
    unsent[count++] = index;
  }
  return count == 0 || send_messages(line, std::span(unsent).first(count), os::monotonic_now() + timeout_);
}

// --- receiving ---

bool SessionChannel::fill(uint32_t index, uint64_t request_id, const Outcome& outcome,
                          const std::byte* bytes) noexcept {
  if (index >= slot_count_) return false;
  Slot& slot = slot_table_[index];
  // Acquire: pairs with prepare(). Only a leader ends these two states, and we are it, but for an owner's giving up.
  uint32_t state = slot.state.load(std::memory_order_acquire);
  for (;;) {
    if (state == static_cast<uint32_t>(SlotState::kAbandoned)) return true;
    if (state != static_cast<uint32_t>(SlotState::kPending) && state != static_cast<uint32_t>(SlotState::kAwaited))
      return false;
    if (slot.request_id != request_id || outcome.reply_bytes > slot.reply_room.size()) return false;
    if (slot.state.compare_exchange_weak(state, static_cast<uint32_t>(SlotState::kFilling), std::memory_order_acquire))
      break;
  }
  happens_after(&slot);  // the answer is to what was sent, by whichever thread
  std::copy(bytes, bytes + outcome.reply_bytes, slot.reply_room.begin());
  slot.outcome = outcome;
  slot.state.store(static_cast<uint32_t>(SlotState::kDone), std::memory_order_release);  // pairs with is_answered()
  if (state == static_cast<uint32_t>(SlotState::kAwaited)) os::futex_wake_all(slot.state, FutexScope::kPrivate);
  return true;
}

bool SessionChannel::look_once(Line& line, os::Wait wait, uint32_t word) noexcept {
  if (link_word() != word) return false;
  if (look(line, wait, word)) return link_word() == word;
  report_broken(word);
  return false;
}

void SessionChannel::stop_leading(Line& line) noexcept {
  line.lead_lock.release();
  // Sequentially consistent, as the waiter's announcement: it found the lock free, or it is seen here.
  uint64_t waiting = line.waiting.load(std::memory_order_seq_cst);
  for (; waiting != 0; waiting &= waiting - 1) {
    Slot& slot = slot_table_[static_cast<uint32_t>(std::countr_zero(waiting))];
    uint32_t state = static_cast<uint32_t>(SlotState::kAwaited);
    if (!slot.state.compare_exchange_strong(state, static_cast<uint32_t>(SlotState::kPending),
                                            std::memory_order_seq_cst))
      continue;
    os::futex_wake_all(slot.state, FutexScope::kPrivate);
    return;  // one is enough: it leads on
  }
}

// --- waiting ---

bool SessionChannel::is_answered(const Slot& slot) noexcept {
  // Acquire: pairs with fill(), so that outcome and bytes are seen.
  return slot.state.load(std::memory_order_acquire) == static_cast<uint32_t>(SlotState::kDone);
}

// With the lead lock: receives until the slot is answered, the connection breaks or it is time to look around.
void SessionChannel::lead(uint32_t index, Nanoseconds deadline) noexcept {
  const Slot& slot = slot_table_[index];
  Line& line = line_of(slot.lane);
  const uint32_t word = link_word();
  bool is_whole = !is_down(word);
  const Nanoseconds start = os::monotonic_now();
  if (spins_) {
    const auto look_now = [&] {
      if (is_answered(slot)) return true;
      is_whole = is_whole && look_once(line, os::Wait::kNo, word);
      return !is_whole || is_answered(slot);
    };
    (void)spin_.wait(start, look_now, [] { return os::AdaptiveSpin::kNoCpu; });
  }
  while (is_whole && !is_answered(slot) && !is_lost() && os::monotonic_now() < deadline)
    is_whole = look_once(line, os::Wait::kYes, word);
  if (spins_ && is_answered(slot)) spin_.record(os::monotonic_now() - start);
  stop_leading(line);
}

// Somebody else leads: sleeps until it has delivered the answer or stops leading.
void SessionChannel::sleep(uint32_t index, Nanoseconds deadline) noexcept {
  Slot& slot = slot_table_[index];
  Line& line = line_of(slot.lane);
  uint32_t state = static_cast<uint32_t>(SlotState::kPending);
  if (!slot.state.compare_exchange_strong(state, static_cast<uint32_t>(SlotState::kAwaited),
                                          std::memory_order_seq_cst) &&
      state != static_cast<uint32_t>(SlotState::kAwaited)) {
    os::cpu_relax();  // kFilling: done in a moment; kDone
    return;
  }
  line.waiting.fetch_or(uint64_t{1} << index, std::memory_order_seq_cst);
  if (line.lead_lock.try_acquire()) {
    line.waiting.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
    lead(index, deadline);
    return;
  }
  (void)os::futex_wait(slot.state, static_cast<uint32_t>(SlotState::kAwaited), kSlice, FutexScope::kPrivate);
  line.waiting.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
}

// False: the node is lost.
bool SessionChannel::await(uint32_t index) noexcept {
  Slot& slot = slot_table_[index];
  if (is_answered(slot)) return true;
  Line& line = line_of(slot.lane);
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  while (!is_answered(slot)) {
    if (is_lost()) return give_up(slot);
    if (os::monotonic_now() >= deadline) {
      mark_lost(kSilent);
      return give_up(slot);
    }
    const uint32_t word = link_word();
    if (is_down(word)) {
      (void)os::futex_wait(link_word_, word, kSlice, FutexScope::kPrivate);
    } else if (line.lead_lock.try_acquire()) {
      lead(index, deadline);
    } else {
      sleep(index, deadline);
    }
  }
  return true;
}

// After this nobody writes into the reply room. True: the answer came after all.
bool SessionChannel::give_up(Slot& slot) noexcept {
  uint32_t state = slot.state.load(std::memory_order_acquire);
  for (;;) {
    if (state == static_cast<uint32_t>(SlotState::kDone)) return true;
    if (state == static_cast<uint32_t>(SlotState::kFilling)) {  // a copy of what has already come
      os::yield_cpu();
      state = slot.state.load(std::memory_order_acquire);
    } else if (slot.state.compare_exchange_weak(state, static_cast<uint32_t>(SlotState::kAbandoned),
                                                std::memory_order_acq_rel)) {
      return false;
    }
  }
}

// The slot of a lost request stays taken: the channel is lost with it.
Reply SessionChannel::finish(uint32_t index) noexcept {
  Slot& slot = slot_table_[index];
  Reply reply;
  if (slot.refusal != Refusal::kNone) {
    reply = refused(slot.refusal);
  } else {
    if (!await(index)) return {};
    reply = {CallStatus::kAnswered, slot.outcome};
    slot.state.store(static_cast<uint32_t>(SlotState::kIdle), std::memory_order_relaxed);
  }
  slots_.release(index);
  return reply;
}

uint32_t SessionChannel::take_call_slot() noexcept {
  uint32_t index = slots_.try_take(Lane::kCall);
  if (index != SlotPool::kNone) return index;
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  while (!is_lost()) {
    index = slots_.take(Lane::kCall, kSlice);
    if (index != SlotPool::kNone) return index;
    if (os::monotonic_now() >= deadline) mark_lost(kSilent);
  }
  return SlotPool::kNone;
}

// --- what callers see ---

Reply SessionChannel::call(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = take_call_slot();
  if (index == SlotPool::kNone) return {};
  if (prepare(index, Lane::kCall, request, reply_room)) transmit({&index, 1});
  return finish(index);
}

Ticket SessionChannel::post(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = slots_.try_take(Lane::kPosted);
  if (index == SlotPool::kNone) return {};
  if (prepare(index, Lane::kPosted, request, reply_room)) transmit({&index, 1});
  return {index};
}

size_t SessionChannel::post_all(std::span<Posting> postings) noexcept {
  for (Posting& posting : postings) posting.ticket = {};
  if (is_lost()) return 0;
  std::array<uint32_t, wire::kMaxSlots> prepared;
  size_t count = 0, to_send = 0;
  for (; count < postings.size(); count++) {
    Posting& posting = postings[count];
    const uint32_t index = slots_.try_take(Lane::kPosted);
    if (index == SlotPool::kNone) break;
    posting.ticket = {index};
    if (prepare(index, Lane::kPosted, posting.request, posting.reply_room)) prepared[to_send++] = index;
  }
  transmit(std::span(prepared).first(to_send));
  return count;
}

bool SessionChannel::is_done(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  const Slot& slot = slot_table_[ticket.value];
  if (slot.refusal != Refusal::kNone || is_answered(slot) || is_lost()) return true;
  Line& line = line_of(slot.lane);
  const uint32_t word = link_word();
  if (is_down(word) || !line.lead_lock.try_acquire()) return false;
  (void)look_once(line, os::Wait::kNo, word);
  stop_leading(line);
  return is_answered(slot) || is_lost();
}

Reply SessionChannel::collect(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  return finish(ticket.value);
}

}  // namespace tiara::nic
