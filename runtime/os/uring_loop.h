// The StreamLoop on io_uring (stream_loop.h).
#pragma once

#include <liburing.h>
#include <unordered_map>
#include <vector>

#include "runtime/os/memory.h"
#include "runtime/os/stream_loop.h"

namespace tiara::os {

class UringLoop final : public StreamLoop {
 public:
  static Result<std::unique_ptr<StreamLoop>> create();
  ~UringLoop() override;

  IoBackend backend() const noexcept override { return IoBackend::kUring; }
  Result<void> add(uint64_t key, UniqueFd socket) override;
  void send(uint64_t key, std::span<const std::byte> bytes) noexcept override;
  void pause(uint64_t key) noexcept override;
  void resume(uint64_t key) noexcept override;
  void remove(uint64_t key) noexcept override;
  uint32_t run(Owner& owner, Nanoseconds bound) noexcept override;
  void wake() noexcept override;

 private:
  enum class Operation : uint64_t { kReceive = 0, kSend = 1, kWake = 2, kCancel = 3 };
  struct Stream {
    UniqueFd socket;
    std::span<const std::byte> unsent;
    bool is_receiving = false;  // a multishot receive is armed
    bool is_paused = false;
    bool is_removed = false;
    uint32_t in_flight = 0;  // operations that will still complete
  };
  static uint64_t tag(uint64_t key, Operation operation) { return key << 2 | static_cast<uint64_t>(operation); }

  UringLoop() = default;
  io_uring_sqe* next_entry() noexcept;
  void arm_receive(uint64_t key, Stream& stream) noexcept;
  void arm_send(uint64_t key, Stream& stream) noexcept;
  void arm_wake() noexcept;
  void cancel_receive(uint64_t key, Stream& stream) noexcept;
  void complete(Owner& owner, const io_uring_cqe& completion) noexcept;
  void complete_receive(Owner& owner, uint64_t key, Stream& stream, const io_uring_cqe& completion) noexcept;
  void complete_send(Owner& owner, uint64_t key, Stream& stream, int result) noexcept;
  void finish_removal(Owner& owner, uint64_t key, const Stream& stream) noexcept;
  bool has_kernel_work() const noexcept;
  void give_back(uint32_t buffer) noexcept;

  io_uring ring_{};
  bool has_ring_ = false;
  io_uring_buf_ring* provided_ = nullptr;
  Mapping provided_memory_;
  Mapping buffers_;
  UniqueFd event_;
  uint64_t woken_value_ = 0;
  std::unordered_map<uint64_t, Stream> streams_;
  std::vector<uint64_t> idle_removed_;  // removed while nothing was in flight: told in the next round
};

}  // namespace tiara::os
