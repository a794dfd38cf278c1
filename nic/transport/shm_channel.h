// The client's end of the shm transport (nic/wire/shm_layout.h has the other half of the story).
//
// A call: take a slot, copy the payload in, submit the slot's bit, ring if the worker sleeps; then spin while that
// pays, then sleep on the slot's word in slices of at most 100 ms. After each slice the socket says whether the node
// is still there, and the clock whether the bound on waiting has passed. Either way the channel is then lost for good:
// every waiter returns, no later call works, and the node's late writes land in areas that nobody reads.
//
// The node is not believed: replies are copied out before they are decoded, and one that does not answer its request,
// or claims more bytes than there is room for, also makes the channel lost.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "nic/transport/connect.h"
#include "nic/transport/remote_channel.h"
#include "nic/transport/slot_pool.h"
#include "nic/wire/shm_layout.h"
#include "runtime/os/memory.h"
#include "runtime/os/spin.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class ShmChannel final : public RemoteChannel {
 public:
  static Result<std::unique_ptr<ShmChannel>> connect(const std::string& path, const ConnectOptions& options);
  ~ShmChannel() override;

  Reply call(const Request& request, std::span<std::byte> reply_room) noexcept override;
  Ticket post(const Request& request, std::span<std::byte> reply_room) noexcept override;
  bool is_done(Ticket ticket) noexcept override;
  Reply collect(Ticket ticket) noexcept override;
  bool is_lost() const noexcept override { return is_lost_.load(std::memory_order_acquire); }

  std::vector<int> descriptors() const override { return {socket_.get(), doorbell_.get()}; }

 private:
  // What the client remembers about a slot it has taken; the owner of the slot is the only one to touch it.
  struct Pending {
    std::span<std::byte> reply_room;
    uint64_t request_id = 0;
    Refusal refusal = Refusal::kNone;  // the request never travelled
  };

  ShmChannel(std::string path, UniqueFd socket, const wire::Welcome& welcome, os::Nanoseconds timeout) noexcept;
  Result<void> map(const UniqueFd& segment, const UniqueFd& board, UniqueFd doorbell);

  wire::SegmentHeader& header() const noexcept;
  wire::SegmentSlot& slot(uint32_t index) const noexcept;
  const wire::BoardLine& board_line() const noexcept;
  void submit(uint32_t index, wire::Lane lane, const Request& request, std::span<std::byte> reply_room) noexcept;
  bool is_answered(uint32_t index) const noexcept;
  bool await(uint32_t index) noexcept;
  bool await_asleep(uint32_t index, os::Nanoseconds start) noexcept;
  Reply take_answer(uint32_t index) noexcept;
  Reply finish(uint32_t index) noexcept;
  uint32_t take_call_slot() noexcept;
  void mark_lost() noexcept;

  // An Error of the connection makes the channel lost.
  Result<wire::Body> ask(wire::ControlOperation operation, std::span<const std::byte> body) override;
  Result<Answer> exchange(wire::ControlOperation operation, std::span<const std::byte> body);

  const std::string path_;
  const os::Nanoseconds timeout_;
  const TenantId tenant_;
  const uint32_t slot_count_;
  const uint32_t worker_;
  UniqueFd socket_;
  UniqueFd doorbell_;
  os::Mapping segment_;
  os::Mapping board_;

  SlotPool slots_;
  std::array<Pending, wire::kMaxSlots> pending_{};
  std::atomic<uint64_t> next_request_id_{1};
  std::atomic<bool> is_lost_{false};
  os::AdaptiveSpin spin_;

  std::mutex control_mutex_;  // one question at a time on the socket
};

}  // namespace tiara::nic
