#include "runtime/os/socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace tiara::os {
namespace {


// The raw system call, retried when a signal interrupts it.
template <typename... Arguments>
long call(long number, Arguments... arguments) noexcept {
  long result = 0;
  do result = syscall(number, arguments...);
  while (result < 0 && errno == EINTR);
  return result;
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidInput, "socket path \"" + path + "\": use 1 to " +
                                              std::to_string(sizeof address.sun_path - 1) + " bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> stream_socket() {
  UniqueFd fd(static_cast<int>(call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (!fd.is_open()) return std::unexpected(system_error("socket", "AF_UNIX"));
  return fd;
}

// Waits until `events` are possible; a hang-up is left to the call that follows.
Result<void> wait_ready(const UniqueFd& socket, short events, Nanoseconds deadline) {
  for (;;) {
    const Nanoseconds left = deadline - monotonic_now();
    if (left <= Nanoseconds::zero())
      return fail(ErrorCode::kTimedOut, "no answer from the peer within the time allowed");
    pollfd poll{socket.get(), events, 0};
    timespec bound{static_cast<time_t>(left.count() / 1'000'000'000), static_cast<long>(left.count() % 1'000'000'000)};
    const long ready = syscall(SYS_ppoll, &poll, 1, &bound, nullptr, 0);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return std::unexpected(system_error("poll", "socket"));
  }
}

std::unexpected<Error> peer_gone() { return fail(ErrorCode::kUnavailable, "the peer closed the connection"); }

union FdBuffer {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxPassedFds)];
};

void take_fds(msghdr& message, std::vector<UniqueFd>& fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
}

}  // namespace

Result<UniqueFd> connect_unix(const std::string& path, Nanoseconds deadline) {
  TIARA_TRY(const sockaddr_un address, address_of(path));
  TIARA_TRY(UniqueFd fd, stream_socket());
  // EAGAIN: the listener's backlog is full; poll cannot wait for room in it.
  while (call(SYS_connect, fd.get(), &address, sizeof address) != 0) {
    if (errno != EAGAIN || monotonic_now() >= deadline) {
      const int err = errno;
      Error error = system_error("connect", path, err);
      if (err == ENOENT || err == ECONNREFUSED || err == EAGAIN) error.code = ErrorCode::kUnavailable;
      return std::unexpected(std::move(error));
    }
    const timespec pause{0, 1'000'000};
    syscall(SYS_nanosleep, &pause, nullptr);
  }
  return fd;
}

Result<UniqueFd> listen_unix(const std::string& path) {
  TIARA_TRY(const sockaddr_un address, address_of(path));
  if (connect_unix(path, monotonic_now()))
    return fail(ErrorCode::kInvalidInput, path + ": another node serves this socket; choose another path, or end it");
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      return fail(ErrorCode::kInvalidInput, path + " exists and is not a socket; choose another path");
    unlink(path.c_str());
  }
  TIARA_TRY(UniqueFd fd, stream_socket());
  if (call(SYS_bind, fd.get(), &address, sizeof address) != 0) return std::unexpected(system_error("bind", path));
  // Between bind and listen nobody can connect, so there is no moment at which others could.
  if (chmod(path.c_str(), 0600) != 0) return std::unexpected(system_error("chmod", path));
  if (call(SYS_listen, fd.get(), kListenBacklog) != 0) return std::unexpected(system_error("listen", path));
  return fd;
}

UniqueFd accept_unix(const UniqueFd& listener) noexcept {
  return UniqueFd(static_cast<int>(call(SYS_accept4, listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
}

Result<void> send_all(const UniqueFd& socket, std::span<const std::byte> bytes, Nanoseconds deadline) {
  while (!bytes.empty()) {
    const long sent = call(SYS_sendto, socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL, nullptr, 0);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<size_t>(sent));
    } else if (sent < 0 && errno == EAGAIN) {
      TIARA_TRY_VOID(wait_ready(socket, POLLOUT, deadline));
    } else {
      return peer_gone();
    }
  }
  return {};
}

Result<std::vector<UniqueFd>> receive_all_with_fds(const UniqueFd& socket, std::span<std::byte> bytes,
                                                   Nanoseconds deadline) {
  std::vector<UniqueFd> fds;
  while (!bytes.empty()) {
    iovec part{bytes.data(), bytes.size()};
    FdBuffer control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    const long received = call(SYS_recvmsg, socket.get(), &message, MSG_CMSG_CLOEXEC);
    if (received > 0) {
      take_fds(message, fds);
      bytes = bytes.subspan(static_cast<size_t>(received));
    } else if (received < 0 && errno == EAGAIN) {
      TIARA_TRY_VOID(wait_ready(socket, POLLIN, deadline));
    } else {
      return peer_gone();
    }
  }
  return fds;
}

Result<void> receive_all(const UniqueFd& socket, std::span<std::byte> bytes, Nanoseconds deadline) {
  TIARA_TRY_VOID(receive_all_with_fds(socket, bytes, deadline));  // descriptors nobody asked for are closed
  return {};
}

SocketStatus try_send(const UniqueFd& socket, std::span<const std::byte> bytes, std::span<const int> fds) noexcept {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  FdBuffer control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty() && fds.size() <= kMaxPassedFds) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(&control.header), fds.data(), sizeof(int) * fds.size());
  }
  const long sent = call(SYS_sendmsg, socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<long>(bytes.size())) return SocketStatus::kDone;
  return sent >= 0 || errno == EAGAIN ? SocketStatus::kWouldBlock : SocketStatus::kPeerGone;
}

SocketStatus try_receive(const UniqueFd& socket, std::span<std::byte> room, size_t& received) noexcept {
  const long result = call(SYS_recvfrom, socket.get(), room.data(), room.size(), MSG_DONTWAIT, nullptr, nullptr);
  if (result > 0) {
    received = static_cast<size_t>(result);
    return SocketStatus::kDone;
  }
  return result < 0 && errno == EAGAIN ? SocketStatus::kWouldBlock : SocketStatus::kPeerGone;
}

bool has_hung_up(const UniqueFd& socket) noexcept {
  const int saved = errno;
  pollfd poll{socket.get(), POLLRDHUP, 0};
  timespec none{};
  const long ready = syscall(SYS_ppoll, &poll, 1, &none, nullptr, 0);
  errno = saved;
  return ready > 0 && (poll.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) != 0;
}

Result<UniqueFd> create_event() {
  UniqueFd fd(static_cast<int>(syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (!fd.is_open()) return std::unexpected(system_error("eventfd"));
  return fd;
}

void signal_event(const UniqueFd& event) noexcept {
  const int saved = errno;
  const uint64_t one = 1;
  call(SYS_write, event.get(), &one, sizeof one);  // EAGAIN: it is signalled already
  errno = saved;
}

}  // namespace tiara::os
