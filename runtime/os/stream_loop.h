// One thread serving many connected sockets: bytes in, buffers out. Two implementations: io_uring (multishot receive
// into a ring of provided buffers: no system call for a message that has come) and epoll with plain sockets, for where
// io_uring is forbidden. Everything but wake() belongs to the one thread that created the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/unique_fd.h"

namespace tiara::os {

enum class IoBackend : uint8_t { kAuto, kUring, kSockets };

// "auto", "io_uring" or "sockets".
Result<IoBackend> parse_io_backend(std::string_view text);
std::string_view to_string(IoBackend backend);
// Whether this kernel lets this process use io_uring as we need it; the Error says why not.
Result<void> probe_uring();

class StreamLoop {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Bytes came; they may be used until this returns.
    virtual void received(uint64_t key, std::span<const std::byte> bytes) noexcept = 0;
    // The buffer that was given to send() is free again.
    virtual void sent(uint64_t key) noexcept = 0;
    // The peer hung up, or the connection broke: remove() it. May be said more than once.
    virtual void broke(uint64_t key) noexcept = 0;
    // After remove(): nothing of the connection is in use any more. Never called inside remove().
    virtual void removed(uint64_t key) noexcept = 0;
    // wake() was called.
    virtual void woken() noexcept = 0;
  };

  // kAuto: io_uring where it is allowed.
  static Result<std::unique_ptr<StreamLoop>> create(IoBackend backend);
  virtual ~StreamLoop() = default;

  virtual IoBackend backend() const noexcept = 0;
  // Takes the socket and begins to receive.
  virtual Result<void> add(uint64_t key, UniqueFd socket) = 0;
  // Sends all of `bytes`, which stay where they are until sent(). One at a time for a connection.
  virtual void send(uint64_t key, std::span<const std::byte> bytes) noexcept = 0;
  // No more received() until resume(); what the kernel has already delivered may still come.
  virtual void pause(uint64_t key) noexcept = 0;
  virtual void resume(uint64_t key) noexcept = 0;
  // Closes the connection. removed() follows.
  virtual void remove(uint64_t key) noexcept = 0;

  // Handles what has happened, and waits at most `bound` for something when nothing has. Returns how many events.
  virtual uint32_t run(Owner& owner, Nanoseconds bound) noexcept = 0;

  // Any thread: run() returns soon.
  virtual void wake() noexcept = 0;
};

}  // namespace tiara::os
