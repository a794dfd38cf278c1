// The client's end of a session that outlives its connections (nic/node/lease.h has the node's end): what tcp and rdma
// have in common. The wire below it is the derived class's.
//
// A call: take a slot, write the message into the slot's area, send it, and lead or wait for the answer. Who waits for
// an answer and finds nobody receiving *leads*: it receives, delivers the answers of all, and when it has its own it
// wakes one of those who still wait, to lead on. So a single thread pays no hand-over, and no thread of ours stands
// between the connection and it.
//
// The message stays in its area until it is answered. When the connection breaks, the link thread makes it again and
// sends what is unanswered once more; the node runs each request once, so callers notice nothing but the time. They
// wait no longer than the bound on waiting (`node_timeout`), whatever happens; the link is tried again as long as the
// lease lasts. After that the channel is lost for good: every waiter returns and no later call works.
//
// The node is not believed: an answer that does not decode, does not match its hash, or answers nothing that was asked
// ends the connection, not the session.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "nic/transport/session_handshake.h"
#include "nic/transport/remote_channel.h"
#include "nic/transport/slot_pool.h"
#include "nic/wire/frame.h"
#include "nic/wire/handshake.h"
#include "runtime/os/clock.h"
#include "runtime/os/futex_lock.h"
#include "runtime/os/spin.h"
#include "runtime/os/tcp.h"
#include "runtime/os/thread.h"

namespace tiara::nic {

class SessionChannel : public RemoteChannel {
 public:
  Reply call(const Request& request, std::span<std::byte> reply_room) noexcept final;
  Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept final;
  size_t post_all(std::span<Posting> postings) noexcept final;
  bool is_done(Ticket ticket) noexcept final;
  Reply collect(Ticket ticket) noexcept final;
  bool is_lost() const noexcept final { return loss_.load(std::memory_order_acquire) != nullptr; }
  // An orderly end: nobody will come back, so the node need not keep anything. Not while a question is under way, or
  // the link is being made again: then the lease will do. No other question can follow.
  void let_go() noexcept final;

  // How often the connection was made again.
  uint64_t reconnects() const noexcept { return reconnects_.load(std::memory_order_relaxed); }
  // As if the network had cut every connection.
  void cut_for_testing() noexcept { report_broken(link_word()); }

 protected:
  enum class SlotState : uint32_t {
    kIdle,
    kPending,    // on its way, or waiting for the link
    kAwaited,    // the same, and its owner sleeps on the word
    kFilling,    // the leader copies its answer
    kDone,
    kAbandoned,  // its owner has given up
  };
  struct alignas(64) Slot {
    std::atomic<uint32_t> state{0};
    wire::Lane lane = wire::Lane::kCall;
    Refusal refusal = Refusal::kNone;  // the request never travelled
    uint32_t message_bytes = 0;
    uint64_t sequence = 0;
    uint64_t request_id = 0;
    uint64_t sent_in_epoch = 0;  // under the line's send lock
    std::span<std::byte> reply_room;
    Outcome outcome;
  };
  // What is sent and received in one order. Lanes may share one.
  struct Line {
    os::FutexLock send_lock;
    os::FutexLock lead_lock;
    std::atomic<uint64_t> waiting{0};  // slots whose owners want to lead; a bit is set before trying the lead lock
  };
  enum class Lines : uint8_t { kOneForAll, kOneForEachLane };
  // Whether a leader spins for a while before it sleeps in the kernel.
  enum class Leading : uint8_t { kSpins, kSleeps };

  SessionChannel(const wire::HandshakeReply& welcome, os::Nanoseconds timeout, Lines lines, Leading leading) noexcept;
  // The derived class calls start() when its wire is up, and stop() in its destructor.
  Result<void> start();
  void stop() noexcept;

  os::Nanoseconds timeout() const noexcept { return timeout_; }
  uint32_t slot_count() const noexcept { return slot_count_; }
  Slot& slot(uint32_t index) noexcept { return slot_table_[index]; }
  Line& line_of(wire::Lane lane) noexcept {
    return lines_[has_one_line_ ? 0 : static_cast<uint32_t>(lane)];
  }

  bool is_stopping() const noexcept { return is_stopping_.load(std::memory_order_acquire) != 0; }
  // The state of the link in one word, which is a futex: epoch << 1 | is_down. An epoch is one life of the connection.
  static constexpr bool is_down(uint32_t word) noexcept { return (word & 1) != 0; }
  uint32_t link_word() const noexcept { return link_word_.load(std::memory_order_acquire); }
  // Wakes the link thread; everybody who uses a connection of that epoch leaves it.
  void report_broken(uint32_t link_word) noexcept;

  // Frame, payload and hash into `message`, which has room for the largest; the refusal: nothing is to travel.
  std::optional<Refusal> write_frame(Slot& slot, const Request& request, std::span<std::byte> reply_room,
                                     std::byte* message) const noexcept;
  // Of the leader: gives a slot its answer. False: it answers nothing that was asked.
  bool fill(uint32_t index, uint64_t request_id, const Outcome& outcome, const std::byte* bytes) noexcept;
  void stop_leading(Line& line) noexcept;
  // With the lead lock: look(), and what is broken is reported. False: the connection is broken, or another one.
  bool look_once(Line& line, os::Wait wait, uint32_t link_word) noexcept;

 private:
  // --- the wire, data path ---

  // Makes the message of a slot whose request id is set, and sets message_bytes and reply_room.
  virtual std::optional<Refusal> write_message(uint32_t index, const Request& request,
                                               std::span<std::byte> reply_room) noexcept = 0;
  // With the line's send lock: sends the messages of some slots of that line, together where that is cheaper. False:
  // the connection is broken.
  virtual bool send_messages(Line& line, std::span<const uint32_t> indices, os::Nanoseconds deadline) noexcept = 0;
  // With the line's lead lock: takes what has come and fill()s; waits for a slice at most when asked to. False: the
  // connection is broken.
  virtual bool look(Line& line, os::Wait wait, uint32_t link_word) noexcept = 0;

  // --- the wire, link ---

  virtual const std::string& url() const noexcept = 0;
  // Whoever waits in the connection returns, wait_for_break() too. Any thread, async-signal-safe.
  virtual void disturb() noexcept = 0;
  // Sleeps until the connection ends (true) or somebody calls disturb() (either).
  virtual bool wait_for_break() noexcept = 0;
  // Nobody may wait in the connection any longer: it will be made again.
  virtual void break_off() noexcept {}
  // One attempt to make it again. Nobody uses it.
  virtual Resumed resume(LossReason& reason) noexcept = 0;
  // What was received in part, or counted, belongs to the connection before. Nobody uses it.
  virtual void forget_connection() noexcept = 0;

  // --- the wire, control path: with the control lock ---

  virtual Result<Answer> exchange(const wire::Body& question, uint64_t id, uint32_t link_word,
                                  os::Nanoseconds deadline) = 0;
  // Sends the last question. May run in a signal handler.
  virtual void say_farewell(std::span<const std::byte> message, uint32_t link_word) noexcept = 0;

  // Called with the slot's index; the refused do not travel.
  bool prepare(uint32_t index, wire::Lane lane, const Request& request, std::span<std::byte> reply_room) noexcept;
  void transmit(std::span<const uint32_t> indices) noexcept;
  bool send_unsent(Line& line, std::span<const uint32_t> indices, uint32_t link_word) noexcept;
  static bool is_answered(const Slot& slot) noexcept;
  bool await(uint32_t index) noexcept;
  void lead(uint32_t index, os::Nanoseconds deadline) noexcept;
  void sleep(uint32_t index, os::Nanoseconds deadline) noexcept;
  bool give_up(Slot& slot) noexcept;
  Reply finish(uint32_t index) noexcept;
  uint32_t take_call_slot() noexcept;
  void mark_lost(LossReason reason) noexcept;

  // The link thread.
  void watch_link() noexcept;
  void restore_link() noexcept;
  bool send_unanswered(uint32_t link_word) noexcept;
  std::span<Line> lines() noexcept { return std::span(lines_).first(has_one_line_ ? 1 : wire::kLanes); }

  Result<wire::Body> ask(wire::ControlOperation operation, std::span<const std::byte> body) final;

  const os::Nanoseconds timeout_;
  const os::Nanoseconds lease_;
  const TenantId tenant_;
  const uint32_t slot_count_;
  const bool has_one_line_;
  const bool spins_;
  SlotPool slots_;
  std::array<Slot, wire::kMaxSlots> slot_table_{};
  std::array<Line, wire::kLanes> lines_;
  os::AdaptiveSpin spin_;
  std::atomic<uint32_t> link_word_{2};
  std::atomic<LossReason> loss_{nullptr};
  std::atomic<uint64_t> reconnects_{0};

  std::mutex control_mutex_;    // one question at a time
  os::FutexLock control_lock_;  // the wire's control path: a question's exchange, or the link thread
  uint64_t next_question_ = 1;
  wire::Body let_go_message_;  // made in advance: let_go() may run in a signal handler
  bool has_let_go_ = false;

  std::atomic<uint32_t> is_stopping_{0};  // a futex
  os::Thread thread_;
};

}  // namespace tiara::nic
