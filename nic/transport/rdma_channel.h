// The client's end of the RDMA transport (nic/wire/rdma_layout.h says what travels; rdma_link.h, how it is connected).
//
// A call: take a slot, write the message into the slot's area of the slab, post one SEND, and lead or wait. The node's
// one WRITE puts the answer into the slot's reply area; its immediate names the slot. Whoever waits and finds nobody at
// the completion queue leads: it delivers the answers of all, and when it has its own it wakes one other waiter to lead
// on. It sleeps on the completion channel, never on a spinning queue. One SEND in eight asks for a completion.
//
// When the connection breaks, the link thread makes it again and posts what is unanswered once more, in one list; the
// node runs each request once (nic/node/lease.h). Waiting is bounded as over tcp: callers by `node_timeout`, the link
// by the lease. The node is not believed: an answer that does not decode, does not match its hash, or answers nothing
// that was asked ends the connection, not the session.
//
// A one-sided read (kOneSidedRead) of a node that was started for baselines is an RDMA READ, of which the node's
// software sees nothing.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "nic/transport/channel.h"
#include "nic/transport/connect.h"
#include "nic/transport/rdma_link.h"
#include "nic/transport/slot_pool.h"
#include "nic/wire/control.h"
#include "runtime/os/futex_lock.h"
#include "runtime/os/thread.h"

namespace tiara::nic {

class RdmaChannel final : public Channel {
 public:
  static Result<std::unique_ptr<RdmaChannel>> connect(std::string_view host_port, const ConnectOptions& options);
  ~RdmaChannel() override;

  Reply call(const Request& request, std::span<std::byte> reply_room) noexcept override;
  Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept override;
  bool is_done(Ticket ticket) noexcept override;
  Reply collect(Ticket ticket) noexcept override;
  bool is_lost() const noexcept override { return loss_.load(std::memory_order_acquire) != nullptr; }

  Result<NodeInfo> info() override;
  Result<AddressSpaceId> create_space(uint64_t max_pages) override;
  Result<void> destroy_space(AddressSpaceId space) override;
  Result<void> allocate_data(AddressSpaceId space, Bytes size) override;
  Result<OperatorId> register_operator(std::span<const std::byte> container) override;
  Result<ClonedSpace> clone_space(AddressSpaceId space, CloneKind kind) override;
  Result<void> adopt_space(const ClonedSpace& clone) override;
  void let_go() noexcept override;
  std::vector<int> descriptors() const override { return link_->descriptors(); }

  // How often the connection was made again.
  uint64_t reconnects() const noexcept { return reconnects_.load(std::memory_order_relaxed); }
  // Work requests and completions so far. Not while the link is being made again.
  verbs::WorkCounts counts() const noexcept { return link_->counts(); }
  // As if the network had cut the connection.
  void cut_for_testing() noexcept { report_broken(link_word_.load(std::memory_order_acquire)); }

 private:
  enum class SlotState : uint32_t {
    kIdle,
    kPending,    // on its way, or waiting for the link
    kAwaited,    // the same, and its owner sleeps on the word
    kFilling,    // the leader copies its answer
    kDone,
    kAbandoned,  // its owner has given up
  };
  enum class Kind : uint8_t { kInvocation, kOneSided };
  struct alignas(64) Slot {
    std::atomic<uint32_t> state{0};
    wire::Lane lane = wire::Lane::kCall;
    Kind kind = Kind::kInvocation;
    Refusal refusal = Refusal::kNone;  // the request never travelled
    uint32_t message_bytes = 0;        // one-sided: of the read
    uint64_t pool_offset = 0;          // one-sided
    uint64_t sequence = 0;
    uint64_t request_id = 0;
    uint64_t sent_in_epoch = 0;  // under the send lock
    std::span<std::byte> reply_room;
    Outcome outcome;
  };
  // The state of the link in one word, which is a futex: epoch << 1 | is_down. An epoch is one life of the connection.
  static constexpr bool is_down(uint32_t word) noexcept { return (word & 1) != 0; }

  RdmaChannel(std::unique_ptr<RdmaLink> link, os::Nanoseconds timeout) noexcept;
  Result<void> set_up();

  void submit(uint32_t index, wire::Lane lane, const Request& request, std::span<std::byte> reply_room) noexcept;
  bool is_one_sided(const Request& request, size_t room) const noexcept;
  void transmit(uint32_t index, os::Nanoseconds deadline) noexcept;
  verbs::Send send_of(uint32_t index) noexcept;
  verbs::Send number(verbs::Send send) noexcept;
  bool has_room(os::Nanoseconds deadline) noexcept;
  bool look(os::Wait wait, uint32_t link_word) noexcept;
  bool handle(std::span<const verbs::Completion> completions) noexcept;
  bool deliver(uint32_t index) noexcept;
  bool deliver_read(uint32_t index) noexcept;
  bool fill(uint32_t index, uint64_t request_id, const Outcome& outcome, const std::byte* bytes) noexcept;
  static bool is_answered(const Slot& slot) noexcept;
  bool await(uint32_t index) noexcept;
  void lead(uint32_t index, os::Nanoseconds deadline) noexcept;
  void sleep(uint32_t index, os::Nanoseconds deadline) noexcept;
  void stop_leading() noexcept;
  bool give_up(Slot& slot) noexcept;
  Reply finish(uint32_t index) noexcept;
  uint32_t take_call_slot() noexcept;
  void report_broken(uint32_t link_word) noexcept;
  void mark_lost(LossReason reason) noexcept;

  // The link thread.
  void watch_link() noexcept;
  void restore_link() noexcept;
  bool send_unanswered(uint32_t link_word) noexcept;

  struct Answer {
    wire::ControlHeader header;
    wire::Body body;
  };
  Result<wire::Body> ask(wire::ControlOperation operation, std::span<const std::byte> body);
  Result<Answer> exchange(const wire::Body& question, uint64_t id, uint32_t link_word, os::Nanoseconds deadline);
  bool send_question(std::span<const std::byte> question, uint32_t link_word, os::Nanoseconds deadline) noexcept;
  bool await_control(uint32_t link_word, os::Nanoseconds deadline) noexcept;

  std::unique_ptr<RdmaLink> link_;
  const os::Nanoseconds timeout_;
  const TenantId tenant_;
  const uint32_t slot_count_;
  SlotPool slots_;
  std::array<Slot, wire::kMaxSlots> slot_table_{};
  os::FutexLock send_lock_;
  os::FutexLock lead_lock_;
  std::atomic<uint64_t> waiting_{0};  // slots whose owners want to lead; a bit is set before trying the lead lock
  uint64_t posted_ = 0;                  // sends of this connection; under the send lock
  std::atomic<uint64_t> completed_{0};   // of them, known to be done
  std::atomic<uint32_t> link_word_{2};
  std::atomic<LossReason> loss_{nullptr};
  std::atomic<uint64_t> reconnects_{0};

  std::mutex control_mutex_;       // one question at a time
  os::FutexLock control_lock_;     // the areas before the slots: a question's exchange, or the link thread
  std::atomic<uint32_t> has_answer_{0};  // a futex
  uint64_t next_question_ = 1;
  wire::Body let_go_message_;  // made in advance: let_go() may run in a signal handler
  bool has_let_go_ = false;

  std::atomic<uint32_t> is_stopping_{0};  // a futex
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
