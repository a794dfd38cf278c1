// The client's end of the TCP transport (nic/wire/handshake.h, tcp_lane.h and nic/node/lease.h have the other parts).
//
// A call: take a slot, write the message into the slot's area, send it, and lead or wait for the answer. The message
// stays in its area until it is answered. When the connection breaks, the link thread makes it again and sends what is
// unanswered once more; the node runs each request once (lease.h), so callers notice nothing but the time. They wait
// no longer than the bound on waiting (`node_timeout`), whatever happens; the link is tried again as long as the lease
// lasts. After that the channel is lost for good: every waiter returns and no later call works.
//
// The node is not believed: an answer that does not decode, does not match its hash, or answers nothing that was asked
// ends the connection, not the session.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "nic/transport/channel.h"
#include "nic/transport/connect.h"
#include "nic/transport/slot_pool.h"
#include "nic/transport/tcp_lane.h"
#include "nic/transport/tcp_link.h"
#include "nic/wire/control.h"
#include "runtime/os/memory.h"
#include "runtime/os/spin.h"
#include "runtime/os/thread.h"

namespace tiara::nic {

class TcpChannel final : public Channel, private TcpLane::Receiver {
 public:
  static Result<std::unique_ptr<TcpChannel>> connect(std::string_view host_port, const ConnectOptions& options);
  ~TcpChannel() override;

  Reply call(const Request& request, std::span<std::byte> reply_room) noexcept override;
  Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept override;
  size_t post_all(std::span<Posting> postings) noexcept override;
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
  std::vector<int> descriptors() const override;

  // How often the connection was made again.
  uint64_t reconnects() const noexcept { return reconnects_.load(std::memory_order_relaxed); }
  // As if the network had cut every connection.
  void cut_for_testing() noexcept { link_.shut_down(); }

 private:
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
    uint64_t sent_in_epoch = 0;  // under the lane's send lock
    std::span<std::byte> reply_room;
    Outcome outcome;
  };
  // The state of the link in one word, which is a futex: epoch << 1 | is_down. An epoch is one life of the connections.
  static constexpr bool is_down(uint32_t word) noexcept { return (word & 1) != 0; }

  TcpChannel(TcpLink link, os::Nanoseconds timeout) noexcept;
  Result<void> set_up();

  TcpLane& lane_of(const Slot& slot) noexcept { return lanes_[static_cast<uint32_t>(slot.lane)]; }
  std::byte* area(uint32_t index) const noexcept;
  bool prepare(uint32_t index, wire::Lane lane, const Request& request, std::span<std::byte> reply_room) noexcept;
  void transmit(std::span<const uint32_t> indices) noexcept;
  bool send_slots(TcpLane& lane, std::span<const uint32_t> indices, uint32_t link_word,
                  os::Nanoseconds deadline) noexcept;
  bool send(TcpLane& lane, TcpStream& stream, std::span<const std::byte> bytes, os::Nanoseconds deadline) noexcept;
  bool deliver(const wire::ReplyFrame& frame, std::span<const std::byte> bytes) noexcept override;
  static bool is_answered(const Slot& slot) noexcept;
  bool await(uint32_t index) noexcept;
  void lead(uint32_t index, os::Nanoseconds deadline) noexcept;
  void sleep(uint32_t index, os::Nanoseconds deadline) noexcept;
  bool look(TcpLane& lane, TcpStream& stream, os::Wait wait, uint32_t link_word) noexcept;
  void stop_leading(TcpLane& lane) noexcept;
  bool give_up(Slot& slot) noexcept;
  Reply finish(uint32_t index) noexcept;
  uint32_t take_call_slot() noexcept;
  void report_broken(uint32_t link_word) noexcept;
  void mark_lost(LossReason reason) noexcept;

  // The link thread.
  void watch_link() noexcept;
  void wait_for_break() noexcept;
  void restore_link() noexcept;
  void send_unanswered(uint32_t link_word) noexcept;

  struct Answer {
    wire::ControlHeader header;
    wire::Body body;
  };
  Result<wire::Body> ask(wire::ControlOperation operation, std::span<const std::byte> body);
  Result<Answer> exchange(const wire::Body& question, uint64_t id, os::Nanoseconds deadline);
  Result<void> receive_answer(std::span<std::byte> bytes, os::Nanoseconds deadline);

  TcpLink link_;
  const os::Nanoseconds timeout_;
  const TenantId tenant_;
  const uint32_t slot_count_;
  SlotPool slots_;
  std::array<Slot, wire::kMaxSlots> slot_table_{};
  os::Mapping areas_;
  std::array<TcpLane, wire::kLanes> lanes_;
  os::AdaptiveSpin spin_;
  std::atomic<uint32_t> link_word_{2};
  std::atomic<LossReason> loss_{nullptr};
  std::atomic<uint64_t> reconnects_{0};

  std::mutex control_mutex_;        // one question at a time
  os::FutexLock control_lock_;      // the control connection: a question's exchange, or the link thread
  uint64_t next_question_ = 1;
  wire::Body let_go_message_;  // made in advance: let_go() may run in a signal handler
  bool has_let_go_ = false;

  std::atomic<uint32_t> is_stopping_{0};  // a futex
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
