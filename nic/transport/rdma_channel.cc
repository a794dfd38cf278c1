#include "nic/transport/rdma_channel.h"

#include <algorithm>

#include "nic/node/lease.h"
#include "nic/transport/rdma_connect.h"
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
// One attempt, so that a packet lost in a partition does not hold up the attempt after it for long.
constexpr Nanoseconds kVerbsAttempt{5'000'000'000};
// An ending process waits this long for the node to hear of it; the lease does otherwise.
constexpr Nanoseconds kFarewell{1'000'000'000};

}  // namespace

Result<std::unique_ptr<Channel>> connect_rdma(std::string_view host_port, const ConnectOptions& options) {
  return RdmaChannel::connect(host_port, options);
}

RdmaChannel::RdmaChannel(std::unique_ptr<RdmaLink> link, Nanoseconds timeout) noexcept
    : SessionChannel(link->welcome(), timeout, Lines::kOneForAll, Leading::kSleeps), link_(std::move(link)) {}

Result<std::unique_ptr<RdmaChannel>> RdmaChannel::connect(std::string_view host_port, const ConnectOptions& options) {
  TIARA_TRY(auto link, RdmaLink::open(host_port, options.token, options.slots, options.node_timeout));
  std::unique_ptr<RdmaChannel> channel(new RdmaChannel(std::move(link), options.node_timeout));
  TIARA_TRY_VOID(channel->start());
  return channel;
}

RdmaChannel::~RdmaChannel() { stop(); }

// --- sending ---

// Whether the device can do it without the node. What is out of bounds travels as an invocation, and the node refuses.
bool RdmaChannel::is_one_sided(const Request& request, size_t room) const noexcept {
  if (request.operation != kOneSidedRead || request.arguments.size() != 2 || !request.payload.empty()) return false;
  const wire::RdmaPool& pool = link_->pool();
  const uint64_t offset = request.arguments[0], length = request.arguments[1];
  return length != 0 && length <= std::min<uint64_t>(room, kMaxReplyBytes) && offset <= pool.bytes &&
         length <= pool.bytes - offset;
}

std::optional<Refusal> RdmaChannel::write_message(uint32_t index, const Request& request,
                                                  std::span<std::byte> reply_room) noexcept {
  one_sided_[index] = {};
  if (!is_one_sided(request, reply_room.size()))
    return write_frame(slot(index), request, reply_room, link_->area(wire::rdma_request_offset(index)));
  one_sided_[index] = {true, request.arguments[0]};
  slot(index).message_bytes = static_cast<uint32_t>(request.arguments[1]);
  slot(index).reply_room = reply_room.first(slot(index).message_bytes);
  return std::nullopt;
}

verbs::Send RdmaChannel::send_of(uint32_t index) noexcept {
  const Slot& asked = slot(index);
  verbs::Send send{};
  send.key = link_->slab().local_key();
  if (one_sided_[index].is_read) {
    send.kind = verbs::Send::Kind::kRead;
    send.signal = verbs::Send::Signal::kYes;
    send.at = link_->area(wire::rdma_reply_offset(index));
    send.length = asked.message_bytes;
    send.remote = {link_->pool().address + one_sided_[index].pool_offset, link_->pool().key};
    send.tag = RdmaLink::kReadTag | index;
    return send;
  }
  const bool is_whole = asked.message_bytes <= wire::kRdmaMessageBytes;
  send.kind = verbs::Send::Kind::kSend;
  send.at = link_->area(wire::rdma_request_offset(index));
  send.length = is_whole ? asked.message_bytes : static_cast<uint32_t>(wire::kFrameBytes);
  send.immediate = wire::rdma_immediate(
      asked.lane == Lane::kCall ? wire::RdmaRequest::kCall : wire::RdmaRequest::kPosted,
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
bool RdmaChannel::has_room(size_t count, uint32_t word, Nanoseconds deadline) noexcept {
  while (posted_ + count - completed_.load(std::memory_order_acquire) > link_->send_count()) {
    if (is_lost() || os::monotonic_now() >= deadline || link_word() != word) return false;
    if (line().lead_lock.try_acquire()) {
      const bool is_whole = look_once(line(), os::Wait::kYes, word);
      stop_leading(line());
      if (!is_whole) return false;
    } else {
      os::yield_cpu();
    }
  }
  return true;
}

// One list.
bool RdmaChannel::send_messages(Line&, std::span<const uint32_t> indices, Nanoseconds deadline) noexcept {
  if (!has_room(indices.size(), link_word(), deadline)) return false;
  std::array<verbs::Send, wire::kMaxSlots> list;
  std::ranges::transform(indices, list.begin(), [this](uint32_t index) { return number(send_of(index)); });
  return link_->queue().post_sends(std::span(list).first(indices.size()));
}

// --- receiving ---

bool RdmaChannel::look(Line&, os::Wait wait, uint32_t word) noexcept {
  verbs::Queue& queue = link_->queue();
  std::array<verbs::Completion, 16> room;
  size_t count = queue.poll(room);
  if (count == 0 && wait == os::Wait::kYes) {
    if (!queue.arm()) return false;
    count = queue.poll(room);
    if (count == 0 && link_word() == word) {
      link_->wait_for_completions();
      count = queue.poll(room);
    }
  }
  return handle(std::span(room).first(count));
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
  if (index >= slot_count()) return false;
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
  if (index >= slot_count()) return false;
  const Slot& asked = slot(index);
  Outcome outcome;
  outcome.status = Status::kOk;
  outcome.reply_bytes = asked.message_bytes;
  outcome.counts.bytes_moved = asked.message_bytes;
  return fill(index, asked.request_id, outcome, link_->area(wire::rdma_reply_offset(index)));
}

// --- the link ---

Resumed RdmaChannel::resume(LossReason& reason) noexcept { return link_->resume(kVerbsAttempt, reason); }

void RdmaChannel::forget_connection() noexcept {
  posted_ = 0;
  completed_.store(0, std::memory_order_relaxed);
}

// --- control path: the areas before the slots ---

bool RdmaChannel::send_question(std::span<const std::byte> question, uint32_t word, Nanoseconds deadline) noexcept {
  has_answer_.store(0, std::memory_order_relaxed);
  std::ranges::copy(question, link_->area(wire::kRdmaQuestionOffset));
  const bool is_whole = question.size() <= wire::kRdmaMessageBytes;
  verbs::Send send{};
  send.kind = verbs::Send::Kind::kSend;
  send.at = link_->area(wire::kRdmaQuestionOffset);
  send.length = static_cast<uint32_t>(is_whole ? question.size() : wire::kControlHeaderBytes);
  send.key = link_->slab().local_key();
  send.immediate = wire::rdma_immediate(wire::RdmaRequest::kQuestion,
                                        is_whole ? wire::RdmaBytes::kInMessage : wire::RdmaBytes::kInSlab);
  if (!line().send_lock.acquire_until(deadline)) return false;
  bool is_sent = link_word() == word && has_room(1, word, deadline);
  if (is_sent) {
    send = number(send);
    is_sent = link_->queue().post_sends({&send, 1});
  }
  line().send_lock.release();
  return is_sent;
}

// Leads if nobody does. False: the deadline passed, or the connection broke.
bool RdmaChannel::await_control(uint32_t word, Nanoseconds deadline) noexcept {
  while (has_answer_.load(std::memory_order_acquire) == 0) {
    if (is_lost() || os::monotonic_now() >= deadline || link_word() != word) return false;
    if (line().lead_lock.try_acquire()) {
      (void)look_once(line(), os::Wait::kYes, word);
      stop_leading(line());
    } else {
      (void)os::futex_wait(has_answer_, 0, std::chrono::milliseconds(10), FutexScope::kPrivate);
    }
  }
  return true;
}

Result<RdmaChannel::Answer> RdmaChannel::exchange(const wire::Body& question, uint64_t id, uint32_t word,
                                                  Nanoseconds deadline) {
  if (!send_question(question, word, deadline) || !await_control(word, deadline))
    return fail(ErrorCode::kUnavailable, "the connection ended, or no answer came in time");
  const std::byte* const area = link_->area(wire::kRdmaAnswerOffset);
  std::array<std::byte, wire::kControlHeaderBytes> bytes;  // the node can still write there
  std::copy(area, area + bytes.size(), bytes.begin());
  TIARA_TRY(const wire::ControlHeader reply, wire::decode_control_header(bytes));
  wire::Body body(area + bytes.size(), area + bytes.size() + reply.body_bytes);
  TIARA_TRY_VOID(wire::check_body(reply, body));
  if (reply.kind != wire::FrameKind::kControlReply || reply.request_id != id)
    return fail(ErrorCode::kInvalidInput, "an answer to another question");
  return Answer{reply, std::move(body)};
}

// Its answer is waited for, because what a device has not sent when its process ends is lost.
void RdmaChannel::say_farewell(std::span<const std::byte> message, uint32_t word) noexcept {
  const Nanoseconds deadline = os::monotonic_now() + kFarewell;
  if (send_question(message, word, deadline)) (void)await_control(word, deadline);
}

}  // namespace tiara::nic
