// RdmaChannel, continued: the link thread, which makes the connection again, and the control path.
#include <algorithm>
#include <array>

#include "nic/transport/link_pace.h"
#include "nic/transport/rdma_channel.h"
#include "runtime/base/check.h"

namespace tiara::nic {

using os::FutexScope;
using os::Nanoseconds;

namespace {

// One attempt, so that a packet lost in a partition does not hold up the attempt after it for long.
constexpr Nanoseconds kVerbsAttempt{5'000'000'000};
// An ending process waits this long for the node to hear of it; the lease does otherwise.
constexpr Nanoseconds kFarewell{1'000'000'000};

}  // namespace

void RdmaChannel::watch_link() noexcept {
  while (is_stopping_.load(std::memory_order_acquire) == 0 && !is_lost()) {
    const RdmaLink::Woken woken = link_->wait_for_break();
    if (is_stopping_.load(std::memory_order_acquire) != 0 || is_lost()) return;
    const uint32_t word = link_word_.load(std::memory_order_acquire);
    if (!is_down(word)) {
      if (woken == RdmaLink::Woken::kCalled) continue;  // for a break that has been mended meanwhile
      report_broken(word);
    }
    restore_link();
  }
}

void RdmaChannel::restore_link() noexcept {
  link_->break_off();  // whoever waits for completions returns
  const Nanoseconds deadline = os::monotonic_now() + std::chrono::milliseconds(link_->welcome().lease_ms);
  const Nanoseconds bound = os::monotonic_now() + kLockBound;
  TIARA_CHECK(control_lock_.acquire_until(bound) && send_lock_.acquire_until(bound) &&
              lead_lock_.acquire_until(bound));
  Nanoseconds pause = kFirstPause;
  LossReason reason = "it could not be reached again before the lease ran out";
  bool is_up = false;
  while (!is_up && !is_lost() && is_stopping_.load(std::memory_order_acquire) == 0) {
    switch (link_->resume(kVerbsAttempt, reason)) {
      case RdmaLink::Resumed::kUp: is_up = true; continue;
      case RdmaLink::Resumed::kNever: mark_lost(reason); continue;
      case RdmaLink::Resumed::kNotYet: break;
    }
    if (os::monotonic_now() >= deadline) mark_lost(reason);
    if (!is_lost()) (void)os::futex_wait(is_stopping_, 0, pause, FutexScope::kPrivate);
    pause = std::min(pause * 2, kLongestPause);
  }
  const uint32_t word = (link_word_.load(std::memory_order_relaxed) | 1) + 1;
  posted_ = 0;
  completed_.store(0, std::memory_order_relaxed);
  lead_lock_.release();
  control_lock_.release();
  bool is_whole = true;
  if (is_up) {
    reconnects_.fetch_add(1, std::memory_order_relaxed);
    link_word_.store(word, std::memory_order_seq_cst);  // pairs with transmit(): the send lock is still held
    os::futex_wake_all(link_word_, FutexScope::kPrivate);
    is_whole = send_unanswered(word);
  }
  send_lock_.release();
  if (!is_whole) report_broken(word);
}

// With the send lock: all in one list, as far as the queue has room, which is more than there are slots.
bool RdmaChannel::send_unanswered(uint32_t link_word) noexcept {
  std::array<verbs::Send, wire::kMaxSlots> list;
  size_t count = 0;
  for (uint32_t i = 0; i < slot_count_; i++) {
    Slot& slot = slot_table_[i];
    const uint32_t state = slot.state.load(std::memory_order_seq_cst);
    if (state != static_cast<uint32_t>(SlotState::kPending) && state != static_cast<uint32_t>(SlotState::kAwaited))
      continue;
    slot.sent_in_epoch = link_word;
    list[count++] = number(send_of(i));
  }
  return count == 0 || link_->queue().post_sends(std::span(list).first(count));
}

// --- control path ---

bool RdmaChannel::send_question(std::span<const std::byte> question, uint32_t link_word,
                                Nanoseconds deadline) noexcept {
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
  if (!send_lock_.acquire_until(deadline)) return false;
  bool is_sent = link_word_.load(std::memory_order_seq_cst) == link_word && has_room(deadline);
  if (is_sent) {
    send = number(send);
    is_sent = link_->queue().post_sends({&send, 1});
  }
  send_lock_.release();
  return is_sent;
}

// Leads if nobody does. False: the deadline passed, or the connection broke.
bool RdmaChannel::await_control(uint32_t link_word, Nanoseconds deadline) noexcept {
  while (has_answer_.load(std::memory_order_acquire) == 0) {
    if (is_lost() || os::monotonic_now() >= deadline || link_word_.load(std::memory_order_acquire) != link_word)
      return false;
    if (lead_lock_.try_acquire()) {
      if (link_word_.load(std::memory_order_acquire) == link_word) (void)look(os::Wait::kYes, link_word);
      stop_leading();
    } else {
      (void)os::futex_wait(has_answer_, 0, std::chrono::milliseconds(10), FutexScope::kPrivate);
    }
  }
  return true;
}

Result<RdmaChannel::Answer> RdmaChannel::exchange(const wire::Body& question, uint64_t id, uint32_t link_word,
                                                  Nanoseconds deadline) {
  if (!send_question(question, link_word, deadline) || !await_control(link_word, deadline))
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

// Asks again when the connection broke: the node remembers its last answer, so the question is acted on once.
Result<wire::Body> RdmaChannel::ask(wire::ControlOperation operation, std::span<const std::byte> body) {
  const std::lock_guard one_at_a_time(control_mutex_);
  if (has_let_go_) return fail(ErrorCode::kUnavailable, "the process is ending and has let its memory node go");
  const uint64_t id = next_question_++;
  const wire::Body question = wire::encode_request(operation, id, tenant_, body);
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  while (!is_lost() && os::monotonic_now() < deadline) {
    const uint32_t word = link_word_.load(std::memory_order_acquire);
    if (is_down(word)) {
      (void)os::futex_wait(link_word_, word, std::chrono::milliseconds(100), FutexScope::kPrivate);
      continue;
    }
    if (!control_lock_.acquire_until(deadline)) break;
    auto answer = exchange(question, id, word, deadline);
    control_lock_.release();
    if (answer && answer->header.status == 0) return std::move(answer->body);
    if (answer) return std::unexpected(wire::decode_error(answer->header, answer->body));
    report_broken(word);  // what the node does with the question is unknown
  }
  mark_lost("it did not answer within the bound on waiting (--node-timeout)");
  return fail(ErrorCode::kUnavailable,
              "lost the memory node at " + link_->url() + ": " + loss_.load(std::memory_order_acquire) +
                  "; start the node and the program again");
}

// An orderly end: nobody will come back, so the node need not keep anything. Not while a question is under way, or the
// link is being made again: then the lease will do. The answer is waited for, because what a device has not sent when
// its process ends is lost.
void RdmaChannel::let_go() noexcept {
  const std::unique_lock one_at_a_time(control_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock() || has_let_go_ || is_lost() || !control_lock_.try_acquire()) return;
  has_let_go_ = true;
  const uint32_t word = link_word_.load(std::memory_order_acquire);
  const Nanoseconds deadline = os::monotonic_now() + kFarewell;
  if (!is_down(word) && send_question(let_go_message_, word, deadline)) (void)await_control(word, deadline);
  control_lock_.release();
}

Result<NodeInfo> RdmaChannel::info() {
  TIARA_TRY(const wire::Body body, ask(wire::ControlOperation::kInfo, {}));
  return wire::decode_info(body);
}

Result<AddressSpaceId> RdmaChannel::create_space(uint64_t max_pages) {
  TIARA_TRY(const wire::Body body, ask(wire::ControlOperation::kCreateSpace, wire::encode_number(max_pages)));
  TIARA_TRY(const uint32_t id, wire::decode_id(body));
  return AddressSpaceId{id};
}

Result<void> RdmaChannel::destroy_space(AddressSpaceId space) {
  TIARA_TRY_VOID(ask(wire::ControlOperation::kDestroySpace, wire::encode_number(space.value)));
  return {};
}

Result<void> RdmaChannel::allocate_data(AddressSpaceId space, Bytes size) {
  TIARA_TRY_VOID(ask(wire::ControlOperation::kAllocateData, wire::encode(wire::DataRequest{space, size})));
  return {};
}

Result<ClonedSpace> RdmaChannel::clone_space(AddressSpaceId space, CloneKind kind) {
  TIARA_TRY(const wire::Body body,
            ask(wire::ControlOperation::kCloneSpace, wire::encode(wire::CloneRequest{space, kind})));
  return wire::decode_cloned_space(body);
}

Result<void> RdmaChannel::adopt_space(const ClonedSpace& clone) {
  TIARA_TRY_VOID(ask(wire::ControlOperation::kAdoptSpace, wire::encode(clone)));
  return {};
}

Result<OperatorId> RdmaChannel::register_operator(std::span<const std::byte> container) {
  if (container.size() > wire::kMaxControlBody)
    return fail(ErrorCode::kInvalidInput, "an operator of " + std::to_string(container.size()) + " bytes is too large");
  TIARA_TRY(const wire::Body body, ask(wire::ControlOperation::kRegisterOperator, container));
  TIARA_TRY(const uint32_t id, wire::decode_id(body));
  return OperatorId{id};
}

}  // namespace tiara::nic
