#include "nic/transport/tcp_channel.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>

#include "nic/node/lease.h"
#include "nic/transport/link_pace.h"
#include "nic/transport/request_frame.h"
#include "runtime/base/check.h"
#include "runtime/base/happens_before.h"
#include "runtime/os/clock.h"
#include "runtime/os/futex.h"

namespace tiara::nic {

using os::FutexScope;
using os::Nanoseconds;
using wire::Lane;

namespace {

// A slot's message: frame, payload, hash; whole pages, and untouched ones cost nothing.
constexpr uint64_t kAreaBytes = round_up(wire::message_bytes(kMaxPayloadBytes), kPageSize);

}  // namespace

TcpChannel::TcpChannel(TcpLink link, Nanoseconds timeout) noexcept
    : link_(std::move(link)),
      timeout_(timeout),
      tenant_(link_.welcome().tenant),
      slot_count_(link_.welcome().slots),
      slots_(slot_count_) {}

Result<std::unique_ptr<TcpChannel>> TcpChannel::connect(std::string_view host_port, const ConnectOptions& options) {
  TIARA_TRY(TcpLink link, TcpLink::open(host_port, options.token, options.slots, options.node_timeout));
  std::unique_ptr<TcpChannel> channel(new TcpChannel(std::move(link), options.node_timeout));
  TIARA_TRY_VOID(channel->set_up());
  return channel;
}

Result<void> TcpChannel::set_up() {
  // Shared memory: it plays the link, and is not the program's anonymous memory.
  const Bytes size{slot_count_ * kAreaBytes};
  TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-tcp", size));
  TIARA_TRY(areas_, os::Mapping::shared(fd, size));
  os::raw_madvise(areas_.data(), areas_.size(), MADV_DONTFORK);
  for (TcpLane& lane : lanes_) TIARA_TRY_VOID(lane.set_up());
  let_go_message_ = wire::encode_request(wire::ControlOperation::kLetGo, UINT64_MAX, tenant_, {});
  TIARA_TRY(thread_, os::Thread::start("tiara-link", [this] { watch_link(); }));
  return {};
}

TcpChannel::~TcpChannel() {
  let_go();
  is_stopping_.store(1, std::memory_order_release);  // pairs with watch_link()
  os::futex_wake_all(is_stopping_, FutexScope::kPrivate);
  link_.shut_down();
  thread_.join();
}

std::vector<int> TcpChannel::descriptors() const {
  return link_.descriptors();
}

// --- data path ---

std::byte* TcpChannel::area(uint32_t index) const noexcept { return areas_.data() + index * kAreaBytes; }

bool TcpChannel::is_answered(const Slot& slot) noexcept {
  // Acquire: pairs with deliver(), so that outcome and bytes are seen.
  return slot.state.load(std::memory_order_acquire) == static_cast<uint32_t>(SlotState::kDone);
}

// Makes the message; false: the request is refused and does not travel.
bool TcpChannel::prepare(uint32_t index, Lane lane, const Request& request, std::span<std::byte> reply_room) noexcept {
  Slot& slot = slot_table_[index];
  slot.request_id = stream_request_id(index, ++slot.sequence);
  slot.lane = lane;
  slot.refusal = Refusal::kNone;
  slot.sent_in_epoch = 0;
  wire::InvocationFrame frame;
  if (const auto refusal = make_frame(request, reply_room.size(), slot.request_id, tenant_, frame)) {
    slot.refusal = *refusal;
    return false;
  }
  slot.reply_room = reply_room.first(frame.reply_room);
  std::byte* const message = area(index);
  wire::encode(frame, std::span<std::byte, wire::kFrameBytes>(message, wire::kFrameBytes));
  copy_payload(request, message + wire::kFrameBytes);
  wire::seal_bytes(message + wire::kFrameBytes, frame.payload_bytes);
  slot.message_bytes = static_cast<uint32_t>(wire::message_bytes(frame.payload_bytes));
  // Releases all of the above to the leader that delivers the answer and to the link thread.
  slot.state.store(static_cast<uint32_t>(SlotState::kPending), std::memory_order_seq_cst);
  return true;
}

// Sends the messages of some slots of one lane. While the link is down nothing is sent: the link thread sends what it
// finds pending when it is up again.
void TcpChannel::transmit(std::span<const uint32_t> indices) noexcept {
  if (indices.empty()) return;
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  TcpLane& lane = lane_of(slot_table_[indices.front()]);
  if (is_down(link_word_.load(std::memory_order_acquire)) || !lane.send_lock.acquire_until(deadline)) return;
  // Sequentially consistent: either the link thread, which holds this lock while it looks, saw the slot pending, or the
  // link is seen up here.
  const uint32_t word = link_word_.load(std::memory_order_seq_cst);
  const bool is_broken = !is_down(word) && !send_slots(lane, indices, word, deadline);
  lane.send_lock.release();
  if (is_broken) report_broken(word);
}

// With the send lock. Small messages go together.
bool TcpChannel::send_slots(TcpLane& lane, std::span<const uint32_t> indices, uint32_t link_word,
                            Nanoseconds deadline) noexcept {
  TcpStream& stream = link_.lane(slot_table_[indices.front()].lane);
  const std::span<std::byte> room = lane.gather_room();
  size_t gathered = 0;
  for (const uint32_t index : indices) {
    Slot& slot = slot_table_[index];
    if (slot.sent_in_epoch == link_word) continue;  // the link thread was faster
    slot.sent_in_epoch = link_word;
    happens_before(&slot);  // deliver()
    const std::span<const std::byte> message(area(index), slot.message_bytes);
    const bool is_alone = indices.size() == 1 || message.size() > room.size();
    if (is_alone || message.size() > room.size() - gathered) {
      if (!send(lane, stream, room.first(gathered), deadline)) return false;
      gathered = 0;
    }
    if (is_alone) {
      if (!send(lane, stream, message, deadline)) return false;
    } else {
      std::memcpy(room.data() + gathered, message.data(), message.size());
      gathered += message.size();
    }
  }
  return send(lane, stream, room.first(gathered), deadline);
}

// With the send lock. A node whose answers nobody reads stops reading, so whoever waits to send also receives.
bool TcpChannel::send(TcpLane& lane, TcpStream& stream, std::span<const std::byte> bytes,
                      Nanoseconds deadline) noexcept {
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  while (!bytes.empty()) {
    const long sent = stream.send_some(bytes);
    if (sent < 0 || os::monotonic_now() >= deadline || is_lost()) return false;
    bytes = bytes.subspan(static_cast<size_t>(sent));
    if (sent != 0) continue;
    if (lane.lead_lock.try_acquire()) {
      os::poll_socket(stream.socket(), os::PollFor::kRoomOrBytes, TcpLink::kSlice);
      const bool is_whole = look(lane, stream, os::Wait::kNo, word);
      stop_leading(lane);
      if (!is_whole) return false;
    } else {
      os::poll_socket(stream.socket(), os::PollFor::kRoom, TcpLink::kSlice);
    }
  }
  return true;
}

bool TcpChannel::deliver(const wire::ReplyFrame& frame, std::span<const std::byte> bytes) noexcept {
  const uint32_t index = slot_of_request(frame.request_id);
  if (index >= slot_count_) return false;
  Slot& slot = slot_table_[index];
  // Acquire: pairs with prepare(). Only a leader ends these two states, and we are it, but for an owner's giving up.
  uint32_t state = slot.state.load(std::memory_order_acquire);
  for (;;) {
    if (state == static_cast<uint32_t>(SlotState::kAbandoned)) return true;
    if (state != static_cast<uint32_t>(SlotState::kPending) && state != static_cast<uint32_t>(SlotState::kAwaited))
      return false;
    if (slot.request_id != frame.request_id || bytes.size() > slot.reply_room.size()) return false;
    if (slot.state.compare_exchange_weak(state, static_cast<uint32_t>(SlotState::kFilling), std::memory_order_acquire))
      break;
  }
  happens_after(&slot);  // the answer is to what was sent, by whichever thread
  std::copy(bytes.begin(), bytes.end(), slot.reply_room.begin());
  slot.outcome = frame.outcome;
  slot.state.store(static_cast<uint32_t>(SlotState::kDone), std::memory_order_release);  // pairs with is_answered()
  if (state == static_cast<uint32_t>(SlotState::kAwaited)) os::futex_wake_all(slot.state, FutexScope::kPrivate);
  return true;
}

// With the lead lock: one read. False: the connection is broken.
bool TcpChannel::look(TcpLane& lane, TcpStream& stream, os::Wait wait, uint32_t link_word) noexcept {
  if (lane.receive(stream, *this, wait) != TcpLane::Received::kBroken) return true;
  report_broken(link_word);
  return false;
}

void TcpChannel::stop_leading(TcpLane& lane) noexcept {
  lane.lead_lock.release();
  // Sequentially consistent, as the waiter's announcement: it found the lock free, or it is seen here.
  uint64_t waiting = lane.waiting.load(std::memory_order_seq_cst);
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

// With the lead lock: receives until the slot is answered, the connection breaks or it is time to look around.
void TcpChannel::lead(uint32_t index, Nanoseconds deadline) noexcept {
  Slot& slot = slot_table_[index];
  TcpLane& lane = lane_of(slot);
  TcpStream& stream = link_.lane(slot.lane);
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  bool is_whole = !is_down(word);
  const Nanoseconds start = os::monotonic_now();
  const auto look_now = [&] {
    if (is_answered(slot)) return true;
    is_whole = is_whole && look(lane, stream, os::Wait::kNo, word);
    return !is_whole || is_answered(slot);
  };
  (void)spin_.wait(start, look_now, [] { return os::AdaptiveSpin::kNoCpu; });
  while (is_whole && !is_answered(slot) && !is_lost() && os::monotonic_now() < deadline)
    is_whole = look(lane, stream, os::Wait::kYes, word);
  if (is_answered(slot)) spin_.record(os::monotonic_now() - start);
  stop_leading(lane);
}

// Somebody else leads: sleeps until it has delivered the answer or stops leading.
void TcpChannel::sleep(uint32_t index, Nanoseconds deadline) noexcept {
  Slot& slot = slot_table_[index];
  TcpLane& lane = lane_of(slot);
  uint32_t state = static_cast<uint32_t>(SlotState::kPending);
  if (!slot.state.compare_exchange_strong(state, static_cast<uint32_t>(SlotState::kAwaited),
                                          std::memory_order_seq_cst) &&
      state != static_cast<uint32_t>(SlotState::kAwaited)) {
    os::cpu_relax();  // kFilling: done in a moment; kDone
    return;
  }
  lane.waiting.fetch_or(uint64_t{1} << index, std::memory_order_seq_cst);
  if (lane.lead_lock.try_acquire()) {
    lane.waiting.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
    lead(index, deadline);
    return;
  }
  (void)os::futex_wait(slot.state, static_cast<uint32_t>(SlotState::kAwaited), kSlice, FutexScope::kPrivate);
  lane.waiting.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
}

// False: the node is lost.
bool TcpChannel::await(uint32_t index) noexcept {
  Slot& slot = slot_table_[index];
  if (is_answered(slot)) return true;
  TcpLane& lane = lane_of(slot);
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  while (!is_answered(slot)) {
    if (is_lost()) return give_up(slot);
    if (os::monotonic_now() >= deadline) {
      mark_lost(kSilent);
      return give_up(slot);
    }
    const uint32_t word = link_word_.load(std::memory_order_acquire);
    if (is_down(word)) {
      (void)os::futex_wait(link_word_, word, kSlice, FutexScope::kPrivate);
    } else if (lane.lead_lock.try_acquire()) {
      lead(index, deadline);
    } else {
      sleep(index, deadline);
    }
  }
  return true;
}

// After this nobody writes into the reply room. True: the answer came after all.
bool TcpChannel::give_up(Slot& slot) noexcept {
  uint32_t state = slot.state.load(std::memory_order_acquire);
  for (;;) {
    if (state == static_cast<uint32_t>(SlotState::kDone)) return true;
    if (state == static_cast<uint32_t>(SlotState::kFilling)) {  // a copy of what has already come
      os::cpu_relax();
      state = slot.state.load(std::memory_order_acquire);
    } else if (slot.state.compare_exchange_weak(state, static_cast<uint32_t>(SlotState::kAbandoned),
                                                std::memory_order_acq_rel)) {
      return false;
    }
  }
}

// The slot of a lost request stays taken: the channel is lost with it.
Reply TcpChannel::finish(uint32_t index) noexcept {
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

uint32_t TcpChannel::take_call_slot() noexcept {
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

Reply TcpChannel::call(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = take_call_slot();
  if (index == SlotPool::kNone) return {};
  if (prepare(index, Lane::kCall, request, reply_room)) transmit({&index, 1});
  return finish(index);
}

Ticket TcpChannel::post(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = slots_.try_take(Lane::kPosted);
  if (index == SlotPool::kNone) return {};
  if (prepare(index, Lane::kPosted, request, reply_room)) transmit({&index, 1});
  return {index};
}

size_t TcpChannel::post_all(std::span<Posting> postings) noexcept {
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

bool TcpChannel::is_done(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  Slot& slot = slot_table_[ticket.value];
  if (slot.refusal != Refusal::kNone || is_answered(slot) || is_lost()) return true;
  TcpLane& lane = lane_of(slot);
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  if (is_down(word) || !lane.lead_lock.try_acquire()) return false;
  (void)look(lane, link_.lane(slot.lane), os::Wait::kNo, word);
  stop_leading(lane);
  return is_answered(slot) || is_lost();
}

Reply TcpChannel::collect(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  return finish(ticket.value);
}

// Wakes the link thread; everybody who uses a connection of that epoch leaves it.
void TcpChannel::report_broken(uint32_t link_word) noexcept {
  uint32_t up = link_word;
  if (is_down(up)) return;
  if (link_word_.compare_exchange_strong(up, link_word | 1, std::memory_order_seq_cst)) link_.shut_down();
}

void TcpChannel::mark_lost(LossReason reason) noexcept {
  LossReason none = nullptr;
  // Release: pairs with is_lost(). Whoever sleeps looks around now instead of at the end of its slice.
  if (!loss_.compare_exchange_strong(none, reason, std::memory_order_acq_rel)) return;
  for (uint32_t i = 0; i < slot_count_; i++) os::futex_wake_all(slot_table_[i].state, FutexScope::kPrivate);
  os::futex_wake_all(link_word_, FutexScope::kPrivate);
  os::futex_wake_all(is_stopping_, FutexScope::kPrivate);
  link_.shut_down();
}

}  // namespace tiara::nic
