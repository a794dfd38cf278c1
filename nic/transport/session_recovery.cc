// SessionChannel, continued: the link thread, which makes the connection again, and the control path.
#include <algorithm>
#include <array>
#include <mutex>

#include "nic/transport/link_pace.h"
#include "nic/transport/session_channel.h"
#include "runtime/base/check.h"
#include "runtime/os/futex.h"

namespace tiara::nic {

using os::FutexScope;
using os::Nanoseconds;

void SessionChannel::report_broken(uint32_t link_word) noexcept {
  uint32_t up = link_word;
  if (is_down(up)) return;
  if (link_word_.compare_exchange_strong(up, link_word | 1, std::memory_order_seq_cst)) disturb();
}

void SessionChannel::mark_lost(LossReason reason) noexcept {
  LossReason none = nullptr;
  // Release: pairs with is_lost(). Whoever sleeps looks around now instead of at the end of its slice.
  if (!loss_.compare_exchange_strong(none, reason, std::memory_order_acq_rel)) return;
  for (uint32_t i = 0; i < slot_count_; i++) os::futex_wake_all(slot_table_[i].state, FutexScope::kPrivate);
  os::futex_wake_all(link_word_, FutexScope::kPrivate);
  os::futex_wake_all(is_stopping_, FutexScope::kPrivate);
  disturb();
}

void SessionChannel::watch_link() noexcept {
  while (!is_stopping() && !is_lost()) {
    const bool has_ended = wait_for_break();
    if (is_stopping() || is_lost()) return;
    const uint32_t word = link_word();
    if (!is_down(word)) {
      if (!has_ended) continue;  // called for a break that has been mended meanwhile
      report_broken(word);
    }
    restore_link();
  }
}

void SessionChannel::restore_link() noexcept {
  break_off();
  const Nanoseconds deadline = os::monotonic_now() + lease_;
  const Nanoseconds bound = os::monotonic_now() + kLockBound;
  TIARA_CHECK(control_lock_.acquire_until(bound));
  for (Line& line : lines()) TIARA_CHECK(line.send_lock.acquire_until(bound) && line.lead_lock.acquire_until(bound));
  Nanoseconds pause = kFirstPause;
  LossReason reason = "it could not be reached again before the lease ran out";
  bool is_up = false;
  while (!is_up && !is_lost() && !is_stopping()) {
    switch (resume(reason)) {
      case Resumed::kUp: is_up = true; continue;
      case Resumed::kNever: mark_lost(reason); continue;
      case Resumed::kNotYet: break;
    }
    if (os::monotonic_now() >= deadline) mark_lost(reason);
    if (!is_lost()) (void)os::futex_wait(is_stopping_, 0, pause, FutexScope::kPrivate);
    pause = std::min(pause * 2, kLongestPause);
  }
  const uint32_t word = (link_word_.load(std::memory_order_relaxed) | 1) + 1;
  forget_connection();
  for (Line& line : lines()) line.lead_lock.release();
  control_lock_.release();
  bool is_whole = true;
  if (is_up) {
    link_word_.store(word, std::memory_order_seq_cst);  // pairs with transmit(): the send locks are still held
    reconnects_.fetch_add(1, std::memory_order_relaxed);
    os::futex_wake_all(link_word_, FutexScope::kPrivate);
    is_whole = send_unanswered(word);
  }
  for (Line& line : lines()) line.send_lock.release();
  if (!is_whole) report_broken(word);
}

// With the send locks. Callers already lead, so the node is not kept from reading by answers that nobody takes.
bool SessionChannel::send_unanswered(uint32_t link_word) noexcept {
  for (Line& line : lines()) {
    std::array<uint32_t, wire::kMaxSlots> unanswered;
    size_t count = 0;
    for (uint32_t i = 0; i < slot_count_; i++) {
      const uint32_t state = slot_table_[i].state.load(std::memory_order_seq_cst);
      const bool is_pending = state == static_cast<uint32_t>(SlotState::kPending) ||
                              state == static_cast<uint32_t>(SlotState::kAwaited);
      if (is_pending && &line_of(slot_table_[i].lane) == &line) unanswered[count++] = i;
    }
    if (!send_unsent(line, std::span(unanswered).first(count), link_word)) return false;
  }
  return true;
}

// --- control path ---

// Asks again when the connection broke: the node remembers its last answer, so the question is acted on once.
Result<wire::Body> SessionChannel::ask(wire::ControlOperation operation, std::span<const std::byte> body) {
  const std::lock_guard one_at_a_time(control_mutex_);
  if (has_let_go_) return fail(ErrorCode::kUnavailable, "the process is ending and has let its memory node go");
  const uint64_t id = next_question_++;
  const wire::Body question = wire::encode_request(operation, id, tenant_, body);
  const Nanoseconds deadline = os::monotonic_now() + timeout_;
  while (!is_lost() && os::monotonic_now() < deadline) {
    const uint32_t word = link_word();
    if (is_down(word)) {
      (void)os::futex_wait(link_word_, word, kSlice, FutexScope::kPrivate);
      continue;
    }
    if (!control_lock_.acquire_until(deadline)) break;
    auto answer = exchange(question, id, word, deadline);
    control_lock_.release();
    if (answer && answer->header.status == 0) return std::move(answer->body);
    if (answer) return std::unexpected(wire::decode_error(answer->header, answer->body));
    report_broken(word);  // what the node does with the question, or where the stream stands, is unknown
  }
  mark_lost(kSilent);
  return fail(ErrorCode::kUnavailable, "lost the memory node at " + url() + ": " +
                                           loss_.load(std::memory_order_acquire) +
                                           "; start the node and the program again");
}

void SessionChannel::let_go() noexcept {
  const std::unique_lock one_at_a_time(control_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock() || has_let_go_ || is_lost() || !control_lock_.try_acquire()) return;
  has_let_go_ = true;
  const uint32_t word = link_word();
  if (!is_down(word)) say_farewell(let_go_message_, word);
  control_lock_.release();
}

}  // namespace tiara::nic
