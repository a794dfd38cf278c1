#include "nic/transport/rdma_channel.h"

#include <algorithm>
#include <bit>

#include "nic/node/lease.h"
#include "nic/transport/rdma_connect.h"
#include "nic/transport/link_pace.h"
#include "nic/transport/request_frame.h"
#include "runtime/base/check.h"
#include "runtime/os/clock.h"
#include "runtime/os/futex.h"
#include "runtime/os/spin.h"

namespace tiara::nic {

using os::FutexScope;
using os::Nanoseconds;
using wire::Lane;

namespace {

// Sends that ask for a completion: one in this many. The queue has room for several times that.
constexpr uint64_t kSignalEvery = 8;

}  // namespace

Result<std::unique_ptr<Channel>> connect_rdma(std::string_view host_port, const ConnectOptions& options) {
  return RdmaChannel::connect(host_port, options);
}

RdmaChannel::RdmaChannel(std::unique_ptr<RdmaLink> link, Nanoseconds timeout) noexcept
    : link_(std::move(link)),
      timeout_(timeout),
      tenant_(link_->welcome().tenant),
      slot_count_(link_->welcome().slots),
      slots_(slot_count_) {}

Result<std::unique_ptr<RdmaChannel>> RdmaChannel::connect(std::string_view host_port, const ConnectOptions& options) {
  TIARA_TRY(auto link, RdmaLink::open(host_port, options.token, options.slots, options.node_timeout));
  std::unique_ptr<RdmaChannel> channel(new RdmaChannel(std::move(link), options.node_timeout));
  TIARA_TRY_VOID(channel->set_up());
  return channel;
}

Result<void> RdmaChannel::set_up() {
  let_go_message_ = wire::encode_request(wire::ControlOperation::kLetGo, UINT64_MAX, tenant_, {});
  TIARA_TRY(thread_, os::Thread::start("tiara-link", [this] { watch_link(); }));
  return {};
}

RdmaChannel::~RdmaChannel() {
  let_go();
  is_stopping_.store(1, std::memory_order_release);  // pairs with watch_link()
  os::futex_wake_all(is_stopping_, FutexScope::kPrivate);
  link_->wake();
  thread_.join();
}

// --- sending ---

bool RdmaChannel::is_answered(const Slot& slot) noexcept {
  // Acquire: pairs with fill(), so that outcome and bytes are seen.
  return slot.state.load(std::memory_order_acquire) == static_cast<uint32_t>(SlotState::kDone);
}

// Whether the device can do it without the node. What is out of bounds travels as an invocation, and the node refuses.
bool RdmaChannel::is_one_sided(const Request& request, size_t room) const noexcept {
  if (request.operation != kOneSidedRead || request.arguments.size() != 2 || !request.payload.empty()) return false;
  const wire::RdmaPool& pool = link_->pool();
  const uint64_t offset = request.arguments[0], length = request.arguments[1];
  return length != 0 && length <= std::min<uint64_t>(room, kMaxReplyBytes) && offset <= pool.bytes &&
         length <= pool.bytes - offset;
}

void RdmaChannel::submit(uint32_t index, Lane lane, const Request& request,
                         std::span<std::byte> reply_room) noexcept {
  Slot& slot = slot_table_[index];
  slot.request_id = stream_request_id(index, ++slot.sequence);
  slot.lane = lane;
  slot.refusal = Refusal::kNone;
  slot.sent_in_epoch = 0;
  slot.kind = is_one_sided(request, reply_room.size()) ? Kind::kOneSided : Kind::kInvocation;
  if (slot.kind == Kind::kOneSided) {
    slot.pool_offset = request.arguments[0];
    slot.message_bytes = static_cast<uint32_t>(request.arguments[1]);
    slot.reply_room = reply_room.first(slot.message_bytes);
  } else {
    wire::InvocationFrame frame;
    if (const auto refusal = make_frame(request, reply_room.size(), slot.request_id, tenant_, frame)) {
      slot.refusal = *refusal;
      return;
    }
    slot.reply_room = reply_room.first(frame.reply_room);
    std::byte* const message = link_->area(wire::rdma_request_offset(index));
    wire::encode(frame, wire::FrameBytes(message, wire::kFrameBytes));
    copy_payload(request, message + wire::kFrameBytes);
    wire::seal_bytes(message + wire::kFrameBytes, frame.payload_bytes);
    slot.message_bytes = static_cast<uint32_t>(wire::message_bytes(frame.payload_bytes));
  }
  // Releases all of the above to the leader that delivers the answer and to the link thread.
  slot.state.store(static_cast<uint32_t>(SlotState::kPending), std::memory_order_seq_cst);
  transmit(index, os::monotonic_now() + timeout_);
}

verbs::Send RdmaChannel::send_of(uint32_t index) noexcept {
  const Slot& slot = slot_table_[index];
  verbs::Send send{};
  send.key = link_->slab().local_key();
  if (slot.kind == Kind::kOneSided) {
    send.kind = verbs::Send::Kind::kRead;
    send.signal = verbs::Send::Signal::kYes;
    send.at = link_->area(wire::rdma_reply_offset(index));
    send.length = slot.message_bytes;
    send.remote = {link_->pool().address + slot.pool_offset, link_->pool().key};
    send.tag = RdmaLink::kReadTag | index;
    return send;
  }
  const bool is_whole = slot.message_bytes <= wire::kRdmaMessageBytes;
  send.kind = verbs::Send::Kind::kSend;
  send.at = link_->area(wire::rdma_request_offset(index));
  send.length = is_whole ? slot.message_bytes : static_cast<uint32_t>(wire::kFrameBytes);
  send.immediate = wire::rdma_immediate(
      slot.lane == Lane::kCall ? wire::RdmaRequest::kCall : wire::RdmaRequest::kPosted,
      is_whole ? wire::RdmaBytes::kInMessage : wire::RdmaBytes::kInSlab);
  return send;
}

// With the send lock: gives the send its place in the queue, which its completion tells.
verbs::Send RdmaChannel::number(verbs::Send send) noexcept {
  if (posted_ % kSignalEvery == kSignalEvery - 1) send.signal = verbs::Send::Signal::kYes;
  send.tag |= (send.tag & RdmaLink::kReadTag) != 0 ? posted_ << 6 : RdmaLink::kSendTag | posted_;
  posted_++;
  return send;
}

// With the send lock. The queue has twice as much room as there are requests: it is full only when completions are
// late.
bool RdmaChannel::has_room(Nanoseconds deadline) noexcept {
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  while (posted_ - completed_.load(std::memory_order_acquire) >= link_->send_count()) {
    if (is_lost() || os::monotonic_now() >= deadline || link_word_.load(std::memory_order_acquire) != word)
      return false;
    if (lead_lock_.try_acquire()) {
      const bool is_whole = look(os::Wait::kYes, word);
      stop_leading();
      if (!is_whole) return false;
    } else {
      os::yield_cpu();
    }
  }
  return true;
}

// While the link is down nothing is sent: the link thread sends what it finds pending when it is up again.
void RdmaChannel::transmit(uint32_t index, Nanoseconds deadline) noexcept {
  Slot& slot = slot_table_[index];
  if (is_down(link_word_.load(std::memory_order_acquire)) || !send_lock_.acquire_until(deadline)) return;
  // Sequentially consistent: either the link thread, which holds this lock while it looks, saw the slot pending, or the
  // link is seen up here.
  const uint32_t word = link_word_.load(std::memory_order_seq_cst);
  bool is_broken = false;
  if (!is_down(word) && slot.sent_in_epoch != word) {
    slot.sent_in_epoch = word;
    is_broken = !has_room(deadline);
    if (!is_broken) {
      const verbs::Send send = number(send_of(index));
      is_broken = !link_->queue().post_sends({&send, 1});
    }
  }
  send_lock_.release();
  if (is_broken) report_broken(word);
}

// --- receiving ---

// With the lead lock. False: the connection is broken.
bool RdmaChannel::look(os::Wait wait, uint32_t link_word) noexcept {
  verbs::Queue& queue = link_->queue();
  std::array<verbs::Completion, 16> room;
  size_t count = queue.poll(room);
  bool is_whole = true;
  if (count == 0 && wait == os::Wait::kYes) {
    is_whole = queue.arm();
    count = queue.poll(room);
    if (count == 0 && is_whole && link_word_.load(std::memory_order_acquire) == link_word) {
      link_->wait_for_completions();
      count = queue.poll(room);
    }
  }
  if (is_whole && handle(std::span(room).first(count))) return true;
  report_broken(link_word);
  return false;
}

// The receives that the answers took are posted again first, in one list: then the answers' slots may be used again.
bool RdmaChannel::handle(std::span<const verbs::Completion> completions) noexcept {
  std::array<verbs::Receive, 16> receives;
  size_t arrivals = 0;
  for (const verbs::Completion& completion : completions)
    if (completion.kind == verbs::Completion::Kind::kReceived)
      receives[arrivals++] = {link_->slab().data(), 0, link_->slab().local_key(), RdmaLink::kReceiveTag};
  if (arrivals != 0 && !link_->queue().post_receives(std::span(receives).first(arrivals))) return false;
  for (const verbs::Completion& completion : completions) {
    switch (completion.kind) {
      case verbs::Completion::Kind::kBroken: return false;
      case verbs::Completion::Kind::kSent: {
        const bool is_read = (completion.tag & RdmaLink::kReadTag) != 0;
        const uint64_t position = is_read ? (completion.tag & ~RdmaLink::kReadTag) >> 6
                                          : completion.tag & ~RdmaLink::kSendTag;
        completed_.store(position + 1, std::memory_order_release);  // pairs with has_room()
        if (is_read && !deliver_read(completion.tag & 63)) return false;
        break;
      }
      case verbs::Completion::Kind::kReceived:
        if (completion.immediate == wire::kRdmaAnswer) {
          has_answer_.store(1, std::memory_order_release);  // pairs with await_control()
          os::futex_wake_all(has_answer_, FutexScope::kPrivate);
        } else if (!deliver(completion.immediate)) {
          return false;
        }
        break;
    }
  }
  return true;
}

bool RdmaChannel::deliver(uint32_t index) noexcept {
  if (index >= slot_count_) return false;
  const std::byte* const area = link_->area(wire::rdma_reply_offset(index));
  std::array<std::byte, wire::kFrameBytes> copy;  // the node can still write there
  std::copy(area, area + copy.size(), copy.begin());
  wire::ReplyFrame frame;
  if (wire::decode(copy, frame) != wire::DecodeStatus::kOk || slot_of_request(frame.request_id) != index) return false;
  const std::byte* const bytes = area + wire::kFrameBytes;
  // Of pages that change between this look and the copy the client knows by their own hash.
  return wire::is_intact(bytes, frame.outcome.reply_bytes) && fill(index, frame.request_id, frame.outcome, bytes);
}

bool RdmaChannel::deliver_read(uint32_t index) noexcept {
  if (index >= slot_count_) return false;
  const Slot& slot = slot_table_[index];
  Outcome outcome;
  outcome.status = Status::kOk;
  outcome.reply_bytes = slot.message_bytes;
  outcome.counts.bytes_moved = slot.message_bytes;
  return fill(index, slot.request_id, outcome, link_->area(wire::rdma_reply_offset(index)));
}

bool RdmaChannel::fill(uint32_t index, uint64_t request_id, const Outcome& outcome, const std::byte* bytes) noexcept {
  Slot& slot = slot_table_[index];
  // Acquire: pairs with submit(). Only a leader ends these two states, and we are it, but for an owner's giving up.
  uint32_t state = slot.state.load(std::memory_order_acquire);
  for (;;) {
    if (state == static_cast<uint32_t>(SlotState::kAbandoned)) return true;
    if (state != static_cast<uint32_t>(SlotState::kPending) && state != static_cast<uint32_t>(SlotState::kAwaited))
      return false;
    if (slot.request_id != request_id || outcome.reply_bytes > slot.reply_room.size()) return false;
    if (slot.state.compare_exchange_weak(state, static_cast<uint32_t>(SlotState::kFilling), std::memory_order_acquire))
      break;
  }
  std::copy(bytes, bytes + outcome.reply_bytes, slot.reply_room.begin());
  slot.outcome = outcome;
  slot.state.store(static_cast<uint32_t>(SlotState::kDone), std::memory_order_release);  // pairs with is_answered()
  if (state == static_cast<uint32_t>(SlotState::kAwaited)) os::futex_wake_all(slot.state, FutexScope::kPrivate);
  return true;
}

// --- waiting ---

void RdmaChannel::stop_leading() noexcept {
  lead_lock_.release();
  // Sequentially consistent, as the waiter's announcement: it found the lock free, or it is seen here.
  uint64_t waiting = waiting_.load(std::memory_order_seq_cst);
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
void RdmaChannel::lead(uint32_t index, Nanoseconds deadline) noexcept {
  const Slot& slot = slot_table_[index];
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  bool is_whole = !is_down(word);
  while (is_whole && !is_answered(slot) && !is_lost() && os::monotonic_now() < deadline)
    is_whole = look(os::Wait::kYes, word) && link_word_.load(std::memory_order_acquire) == word;
  stop_leading();
}

// Somebody else leads: sleeps until it has delivered the answer or stops leading.
void RdmaChannel::sleep(uint32_t index, Nanoseconds deadline) noexcept {
  Slot& slot = slot_table_[index];
  uint32_t state = static_cast<uint32_t>(SlotState::kPending);
  if (!slot.state.compare_exchange_strong(state, static_cast<uint32_t>(SlotState::kAwaited),
                                          std::memory_order_seq_cst) &&
      state != static_cast<uint32_t>(SlotState::kAwaited)) {
    os::yield_cpu();  // kFilling: done in a moment; kDone
    return;
  }
  waiting_.fetch_or(uint64_t{1} << index, std::memory_order_seq_cst);
  if (lead_lock_.try_acquire()) {
    waiting_.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
    lead(index, deadline);
    return;
  }
  (void)os::futex_wait(slot.state, static_cast<uint32_t>(SlotState::kAwaited), kSlice, FutexScope::kPrivate);
  waiting_.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
}

// False: the node is lost.
bool RdmaChannel::await(uint32_t index) noexcept {
  Slot& slot = slot_table_[index];
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
    } else if (lead_lock_.try_acquire()) {
      lead(index, deadline);
    } else {
      sleep(index, deadline);
    }
  }
  return true;
}

// After this nobody writes into the reply room. True: the answer came after all.
bool RdmaChannel::give_up(Slot& slot) noexcept {
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
Reply RdmaChannel::finish(uint32_t index) noexcept {
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

uint32_t RdmaChannel::take_call_slot() noexcept {
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

Reply RdmaChannel::call(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = take_call_slot();
  if (index == SlotPool::kNone) return {};
  submit(index, Lane::kCall, request, reply_room);
  return finish(index);
}

Ticket RdmaChannel::post(const Request& request, std::span<std::byte> reply_room) noexcept {
  if (is_lost()) return {};
  const uint32_t index = slots_.try_take(Lane::kPosted);
  if (index == SlotPool::kNone) return {};
  submit(index, Lane::kPosted, request, reply_room);
  return {index};
}

bool RdmaChannel::is_done(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  Slot& slot = slot_table_[ticket.value];
  if (slot.refusal != Refusal::kNone || is_answered(slot) || is_lost()) return true;
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  if (is_down(word) || !lead_lock_.try_acquire()) return false;
  if (link_word_.load(std::memory_order_acquire) == word) (void)look(os::Wait::kNo, word);
  stop_leading();
  return is_answered(slot) || is_lost();
}

Reply RdmaChannel::collect(Ticket ticket) noexcept {
  TIARA_CHECK(slots_.is_taken(ticket.value));
  return finish(ticket.value);
}

// Wakes the link thread; everybody who uses a connection of that epoch leaves it.
void RdmaChannel::report_broken(uint32_t link_word) noexcept {
  uint32_t up = link_word;
  if (is_down(up)) return;
  if (link_word_.compare_exchange_strong(up, link_word | 1, std::memory_order_seq_cst)) link_->wake();
}

void RdmaChannel::mark_lost(LossReason reason) noexcept {
  LossReason none = nullptr;
  // Release: pairs with is_lost(). Whoever sleeps looks around now instead of at the end of its slice.
  if (!loss_.compare_exchange_strong(none, reason, std::memory_order_acq_rel)) return;
  for (uint32_t i = 0; i < slot_count_; i++) os::futex_wake_all(slot_table_[i].state, FutexScope::kPrivate);
  os::futex_wake_all(link_word_, FutexScope::kPrivate);
  os::futex_wake_all(is_stopping_, FutexScope::kPrivate);
  link_->wake();
}

}  // namespace tiara::nic
