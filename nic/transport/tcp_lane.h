// The receiving end of one connection: answers are cut out of the stream and checked. What a leader calls
// (session_channel.h).
//
// Not a multishot receive of io_uring: such a request belongs to the thread that armed it, whose own system calls its
// completions would interrupt, and ends with it.
#pragma once

#include <cstdint>
#include <span>

#include "nic/transport/tcp_stream.h"
#include "nic/wire/frame.h"
#include "nic/wire/handshake.h"
#include "runtime/base/error.h"
#include "runtime/os/memory.h"
#include "runtime/os/tcp.h"

namespace tiara::nic {

class TcpLane {
 public:
  class Receiver {
   public:
    // An answer whose bytes are intact. False: it answers nothing that was asked.
    virtual bool deliver(const wire::ReplyFrame& frame, std::span<const std::byte> bytes) noexcept = 0;

   protected:
    ~Receiver() = default;
  };

  // Messages that are sent together are copied here first; a system call costs more than copying as much as that. Of
  // the send lock's holder.
  static constexpr size_t kGatherBytes = 16 * 1024;

  Result<void> set_up();

  std::span<std::byte> gather_room() noexcept { return buffer_.span().last(kGatherBytes); }

  // Only with the lead lock.
  enum class Received : uint8_t { kNothing, kSome, kBroken };
  Received receive(TcpStream& stream, Receiver& receiver, os::Wait wait) noexcept;
  void forget_received() noexcept { fill_ = 0; }

 private:
  std::span<std::byte> received() noexcept { return buffer_.span().first(buffer_.size() - kGatherBytes); }

  os::Mapping buffer_;
  size_t fill_ = 0;
};

}  // namespace tiara::nic
