// UNIX stream sockets and descriptors across them, by raw system calls: the preload layer interposes their libc names.
//
// All waiting is bounded by a deadline (monotonic time). SIGPIPE is never raised.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/unique_fd.h"

namespace tiara::os {

inline constexpr size_t kMaxPassedFds = 4;
inline constexpr int kListenBacklog = 1024;  // a thousand clients that start at once

// Connects to the socket at `path`; kUnavailable when nobody listens there.
Result<UniqueFd> connect_unix(const std::string& path, Nanoseconds deadline);
// A non-blocking listener that only this user can reach (mode 0600). A socket file that nobody serves is replaced;
// one that is served is an error.
Result<UniqueFd> listen_unix(const std::string& path);
// The next connection (non-blocking), or a closed UniqueFd when there is none now.
UniqueFd accept_unix(const UniqueFd& listener) noexcept;

// Sends or receives all of `bytes`. kUnavailable: the peer is gone. kTimedOut: the deadline passed.
Result<void> send_all(const UniqueFd& socket, std::span<const std::byte> bytes, Nanoseconds deadline);
Result<void> receive_all(const UniqueFd& socket, std::span<std::byte> bytes, Nanoseconds deadline);
// The same, and the descriptors that came with the bytes (close-on-exec).
Result<std::vector<UniqueFd>> receive_all_with_fds(const UniqueFd& socket, std::span<std::byte> bytes,
                                                   Nanoseconds deadline);

// What does not wait. kWouldBlock covers a partial send: for a peer that does not read what it asked for.
enum class [[nodiscard]] SocketStatus { kDone, kWouldBlock, kPeerGone };
SocketStatus try_send(const UniqueFd& socket, std::span<const std::byte> bytes, std::span<const int> fds) noexcept;
// Bytes that are there now, at most `room`; `received` is set when kDone.
SocketStatus try_receive(const UniqueFd& socket, std::span<std::byte> room, size_t& received) noexcept;

// --- data path: no allocation, async-signal-safe, errno preserved ---

// Has the peer hung up (or died)? Does not wait.
bool has_hung_up(const UniqueFd& socket) noexcept;

// An eventfd, close-on-exec and non-blocking.
Result<UniqueFd> create_event();
void signal_event(const UniqueFd& event) noexcept;

}  // namespace tiara::os
