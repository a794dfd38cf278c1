// The StreamLoop on epoll and plain sockets (stream_loop.h).
#pragma once

#include <unordered_map>
#include <vector>

#include "runtime/os/stream_loop.h"

namespace tiara::os {

class EpollLoop final : public StreamLoop {
 public:
  static Result<std::unique_ptr<StreamLoop>> create();

  IoBackend backend() const noexcept override { return IoBackend::kSockets; }
  Result<void> add(uint64_t key, UniqueFd socket) override;
  void send(uint64_t key, std::span<const std::byte> bytes) noexcept override;
  void pause(uint64_t key) noexcept override;
  void resume(uint64_t key) noexcept override;
  void remove(uint64_t key) noexcept override;
  uint32_t run(Owner& owner, Nanoseconds bound) noexcept override;
  void wake() noexcept override;

 private:
  struct Stream {
    UniqueFd socket;
    std::span<const std::byte> unsent;
    bool is_paused = false;
  };
  enum class Event : uint8_t { kSent, kRemoved };
  struct Happened {
    Event event;
    uint64_t key;
  };
  EpollLoop() = default;
  void watch(uint64_t key, const Stream& stream) noexcept;
  bool push(Stream& stream) noexcept;
  void read(Owner& owner, uint64_t key, uint32_t events) noexcept;

  UniqueFd epoll_;
  UniqueFd event_;
  std::unordered_map<uint64_t, Stream> streams_;
  std::vector<Happened> happened_, batch_;  // to be told in the next round
  // Several requests, or a good part of a write-back of 64 pages, in one read.
  std::vector<std::byte> room_ = std::vector<std::byte>(128 * 1024);
};

}  // namespace tiara::os
