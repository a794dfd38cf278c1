// TCP by raw system calls: the preload layer interposes their libc names.
//
// A connection is one descriptor for its whole life, also when the peer has to be connected to again (disconnect_tcp,
// connect_tcp): close-all guards and watchdogs know descriptors by their number and inode.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>

#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/unique_fd.h"

namespace tiara::os {

struct TcpAddress {
  sockaddr_storage bytes{};
  socklen_t length = 0;
};

// --- control path ---

// "HOST:PORT" or "[IPV6]:PORT". The first address that the resolver gives.
Result<TcpAddress> resolve_tcp(std::string_view host_port);
std::string to_string(const TcpAddress& address);

// A listening, non-blocking socket. Port 0: the kernel chooses; see local_address().
Result<UniqueFd> listen_tcp(const TcpAddress& address);
Result<TcpAddress> local_address(const UniqueFd& socket);
// The next connection (non-blocking), or a closed UniqueFd when there is none now.
UniqueFd accept_tcp(const UniqueFd& listener) noexcept;

// An unconnected, blocking socket for `address`, no delay of small segments. One read waits at most `slice`.
Result<UniqueFd> open_tcp(const TcpAddress& address, Nanoseconds slice);
// The kernel declares the connection dead when the peer's machine has been silent for `bound`.
void bound_silence(const UniqueFd& socket, Nanoseconds bound) noexcept;

// --- data path: no allocation, async-signal-safe, errno preserved ---

// 0, or the errno. ETIMEDOUT: `timeout` passed.
int connect_tcp(const UniqueFd& socket, const TcpAddress& address, Nanoseconds timeout) noexcept;
// Ends the connection and makes the socket ready for connect_tcp. Nobody may be waiting in it.
void disconnect_tcp(const UniqueFd& socket) noexcept;
// Ends the connection; whoever waits in it returns.
void shut_down(const UniqueFd& socket) noexcept;

enum class Wait : uint8_t { kNo, kYes };
// Bytes that came, more than 0; 0: none within the slice (or now); -1: the connection is gone.
long receive_some(const UniqueFd& socket, std::span<std::byte> room, Wait wait) noexcept;
// Bytes that the kernel took without waiting; -1: the connection is gone.
long send_some(const UniqueFd& socket, std::span<const std::byte> bytes) noexcept;
// Waits until bytes can be sent (or received, if `or_received` asks), at most `bound`.
enum class PollFor : uint8_t { kRoom, kRoomOrBytes };
void poll_socket(const UniqueFd& socket, PollFor what, Nanoseconds bound) noexcept;

}  // namespace tiara::os
