// TcpChannel, continued: the link thread, which makes the connections again, and the control path.
#include <algorithm>
#include <array>
#include <mutex>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nic/transport/link_pace.h"
#include "nic/transport/tcp_channel.h"
#include "runtime/base/check.h"
#include "runtime/base/happens_before.h"

namespace tiara::nic {

using os::FutexScope;
using os::Nanoseconds;
using wire::Lane;

namespace {

// One attempt, so that a packet lost in a partition does not hold up the attempt after it for long.
constexpr Nanoseconds kAttempt{2'000'000'000};

}  // namespace

void TcpChannel::watch_link() noexcept {
  for (;;) {
    wait_for_break();
    if (is_stopping_.load(std::memory_order_acquire) != 0 || is_lost()) return;
    report_broken(link_word_.load(std::memory_order_acquire));
    restore_link();
  }
}

// Sleeps until one of the connections has ended, whoever ended it.
void TcpChannel::wait_for_break() noexcept {
  std::array<pollfd, 3> connections{{{link_.control().socket().get(), POLLRDHUP, 0},
                                     {link_.lane(Lane::kCall).socket().get(), POLLRDHUP, 0},
                                     {link_.lane(Lane::kPosted).socket().get(), POLLRDHUP, 0}}};
  while (is_stopping_.load(std::memory_order_acquire) == 0 && !is_lost())
    if (syscall(SYS_ppoll, connections.data(), connections.size(), nullptr, nullptr, 0) > 0) return;
}

void TcpChannel::restore_link() noexcept {
  const Nanoseconds deadline = os::monotonic_now() + std::chrono::milliseconds(link_.welcome().lease_ms);
  const Nanoseconds bound = os::monotonic_now() + kLockBound;
  TIARA_CHECK(control_lock_.acquire_until(bound));
  for (TcpLane& lane : lanes_) TIARA_CHECK(lane.send_lock.acquire_until(bound) && lane.lead_lock.acquire_until(bound));
  Nanoseconds pause = kFirstPause;
  LossReason reason = "it could not be reached again before the lease ran out";
  bool is_up = false;
  while (!is_up && !is_lost() && is_stopping_.load(std::memory_order_acquire) == 0) {
    switch (link_.resume(kAttempt, reason)) {
      case TcpLink::Resumed::kUp: is_up = true; continue;
      case TcpLink::Resumed::kNever: mark_lost(reason); continue;
      case TcpLink::Resumed::kNotYet: break;
    }
    if (os::monotonic_now() >= deadline) mark_lost(reason);
    if (!is_lost()) (void)os::futex_wait(is_stopping_, 0, pause, FutexScope::kPrivate);
    pause = std::min(pause * 2, kLongestPause);
  }
  const uint32_t word = (link_word_.load(std::memory_order_relaxed) | 1) + 1;
  for (TcpLane& lane : lanes_) {
    lane.forget_received();
    lane.lead_lock.release();
  }
  control_lock_.release();
  if (is_up) {
    reconnects_.fetch_add(1, std::memory_order_relaxed);
    link_word_.store(word, std::memory_order_seq_cst);  // pairs with transmit(): the send locks are still held
    os::futex_wake_all(link_word_, FutexScope::kPrivate);
    send_unanswered(word);
  }
  for (TcpLane& lane : lanes_) lane.send_lock.release();
}

// With the send locks. Callers already lead, so the node is not kept from reading by answers that nobody takes.
void TcpChannel::send_unanswered(uint32_t link_word) noexcept {
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  for (uint32_t i = 0; i < slot_count_; i++) {
    Slot& slot = slot_table_[i];
    const uint32_t state = slot.state.load(std::memory_order_seq_cst);
    if (state != static_cast<uint32_t>(SlotState::kPending) && state != static_cast<uint32_t>(SlotState::kAwaited))
      continue;
    slot.sent_in_epoch = link_word;
    TcpLane& lane = lane_of(slot);
    const std::span<const std::byte> message(area(i), slot.message_bytes);
    TcpStream& stream = link_.lane(slot.lane);
    happens_before(&slot);  // deliver()
    if (send(lane, stream, message, deadline)) continue;
    report_broken(link_word);
    return;
  }
}

// --- control path ---

Result<void> TcpChannel::receive_answer(std::span<std::byte> bytes, Nanoseconds deadline) {
  while (!bytes.empty()) {
    const long got = link_.control().receive_some(bytes, os::Wait::kYes);
    if (got < 0) return fail(ErrorCode::kUnavailable, "the connection ended");
    bytes = bytes.subspan(static_cast<size_t>(got));
    if (got == 0 && os::monotonic_now() >= deadline) return fail(ErrorCode::kTimedOut, "no answer in time");
  }
  return {};
}

Result<TcpChannel::Answer> TcpChannel::exchange(const wire::Body& question, uint64_t id, Nanoseconds deadline) {
  std::span<const std::byte> unsent(question);
  while (!unsent.empty()) {
    const long sent = link_.control().send_some(unsent);
    if (sent < 0) return fail(ErrorCode::kUnavailable, "the connection ended");
    unsent = unsent.subspan(static_cast<size_t>(sent));
    if (unsent.empty()) break;
    if (os::monotonic_now() >= deadline) return fail(ErrorCode::kTimedOut, "no answer in time");
    os::poll_socket(link_.control().socket(), os::PollFor::kRoom, TcpLink::kSlice);
  }
  std::array<std::byte, wire::kControlHeaderBytes> bytes;
  TIARA_TRY_VOID(receive_answer(bytes, deadline));
  TIARA_TRY(const wire::ControlHeader reply, wire::decode_control_header(bytes));
  wire::Body body(reply.body_bytes);
  TIARA_TRY_VOID(receive_answer(body, deadline));
  TIARA_TRY_VOID(wire::check_body(reply, body));
  if (reply.kind != wire::FrameKind::kControlReply || reply.request_id != id)
    return fail(ErrorCode::kInvalidInput, "an answer to another question");
  return Answer{reply, std::move(body)};
}

// Asks again when the connection broke: the node remembers its last answer, so the question is acted on once.
Result<wire::Body> TcpChannel::ask(wire::ControlOperation operation, std::span<const std::byte> body) {
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
    auto answer = exchange(question, id, deadline);
    control_lock_.release();
    if (answer && answer->header.status == 0) return std::move(answer->body);
    if (answer) return std::unexpected(wire::decode_error(answer->header, answer->body));
    report_broken(word);  // where the stream stands is unknown
  }
  mark_lost("it did not answer within the bound on waiting (--node-timeout)");
  return fail(ErrorCode::kUnavailable,
              "lost the memory node at " + link_.url() + ": " + loss_.load(std::memory_order_acquire) +
                  "; start the node and the program again");
}

// An orderly end: nobody will come back, so the node need not keep anything. Its answer is not waited for, so no other
// question can follow. Not while a question is under way, or the link is being made again: then the lease will do.
void TcpChannel::let_go() noexcept {
  const std::unique_lock one_at_a_time(control_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock() || has_let_go_ || is_lost() || !control_lock_.try_acquire()) return;
  has_let_go_ = true;
  (void)link_.control().send_some(let_go_message_);
  control_lock_.release();
}

Result<NodeInfo> TcpChannel::info() {
  TIARA_TRY(const wire::Body body, ask(wire::ControlOperation::kInfo, {}));
  return wire::decode_info(body);
}

Result<AddressSpaceId> TcpChannel::create_space(uint64_t max_pages) {
  TIARA_TRY(const wire::Body body, ask(wire::ControlOperation::kCreateSpace, wire::encode_number(max_pages)));
  TIARA_TRY(const uint32_t id, wire::decode_id(body));
  return AddressSpaceId{id};
}

Result<void> TcpChannel::destroy_space(AddressSpaceId space) {
  TIARA_TRY_VOID(ask(wire::ControlOperation::kDestroySpace, wire::encode_number(space.value)));
  return {};
}

Result<void> TcpChannel::allocate_data(AddressSpaceId space, Bytes size) {
  TIARA_TRY_VOID(ask(wire::ControlOperation::kAllocateData, wire::encode(wire::DataRequest{space, size})));
  return {};
}

Result<ClonedSpace> TcpChannel::clone_space(AddressSpaceId space, CloneKind kind) {
  TIARA_TRY(const wire::Body body,
            ask(wire::ControlOperation::kCloneSpace, wire::encode(wire::CloneRequest{space, kind})));
  return wire::decode_cloned_space(body);
}

Result<void> TcpChannel::adopt_space(const ClonedSpace& clone) {
  TIARA_TRY_VOID(ask(wire::ControlOperation::kAdoptSpace, wire::encode(clone)));
  return {};
}

Result<OperatorId> TcpChannel::register_operator(std::span<const std::byte> container) {
  if (container.size() > wire::kMaxControlBody)
    return fail(ErrorCode::kInvalidInput, "an operator of " + std::to_string(container.size()) + " bytes is too large");
  TIARA_TRY(const wire::Body body, ask(wire::ControlOperation::kRegisterOperator, container));
  TIARA_TRY(const uint32_t id, wire::decode_id(body));
  return OperatorId{id};
}

}  // namespace tiara::nic
