// One connection of a client: a socket, and TLS over it where the node's URL asks for it. Sending and receiving are two
// halves that may be used at the same time, each by one thread. Nothing allocates after open(), but a TLS handshake,
// which takes its memory from nic/tls/near_memory.h.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "nic/tls/handshake.h"
#include "nic/tls/records.h"
#include "runtime/base/error.h"
#include "runtime/os/memory.h"
#include "runtime/os/tcp.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class TcpStream {
 public:
  // An unconnected stream to `address`. `identity`: what TLS needs; nullptr: none, bytes travel as they are.
  static Result<TcpStream> open(const os::TcpAddress& address, std::shared_ptr<const tls::Identity> identity,
                                os::Nanoseconds slice);

  // Without TLS, over a socket that somebody else has connected.
  static TcpStream over(UniqueFd socket) noexcept;

  const UniqueFd& socket() const noexcept { return socket_; }

  // Connects, and shakes hands where there is TLS; nobody may be using the stream. 0, or the errno; kNotSecure:
  // somebody answers, but TLS with him cannot be had, for the reason in insecure_because().
  static constexpr int kNotSecure = -1;
  int connect(const os::TcpAddress& address, os::Nanoseconds timeout) noexcept;
  const char* insecure_because() const noexcept { return why_; }
  void disconnect() noexcept;

  // As os::receive_some().
  long receive_some(std::span<std::byte> room, os::Wait wait) noexcept;
  // As os::send_some(), but after 0 the next call must bring the same bytes: part of them may have been sealed and be
  // on its way.
  long send_some(std::span<const std::byte> bytes) noexcept;

 private:
  // Bytes in a mapping, from `begin` to `end`.
  struct Buffer {
    os::Mapping memory;
    size_t begin = 0, end = 0;
    std::span<std::byte> used() const noexcept { return memory.span().subspan(begin, end - begin); }
    std::span<std::byte> room() const noexcept { return memory.span().subspan(end); }
    void clear() noexcept { begin = end = 0; }
  };
  bool is_secured() const noexcept { return identity_ != nullptr; }
  int secure(os::Nanoseconds deadline) noexcept;
  bool flush_handshake(tls::Handshake& handshake) noexcept;
  bool open_records(std::span<std::byte>& room) noexcept;
  void give_plain(std::span<std::byte>& room) noexcept;

  UniqueFd socket_;
  std::shared_ptr<const tls::Identity> identity_;
  const char* why_ = "";
  tls::Records records_;
  // The receiver's: what came and is not opened yet, and bytes that were opened and not asked for yet.
  Buffer received_;
  std::span<const std::byte> plain_;
  // The sender's: sealed bytes that the kernel has not taken yet, and how many bytes of the caller's they are.
  Buffer sealed_;
  size_t sealed_plain_ = 0;
};

}  // namespace tiara::nic
