#include "runtime/os/tcp.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "runtime/os/socket.h"

namespace tiara::os {
namespace {

class KeepErrno {
 public:
  KeepErrno() noexcept : saved_(errno) {}
  ~KeepErrno() { errno = saved_; }

 private:
  const int saved_;
};

void set(const UniqueFd& socket, int level, int option, int value) noexcept {
  syscall(SYS_setsockopt, socket.get(), level, option, &value, sizeof value);
}

void set_time(const UniqueFd& socket, int option, Nanoseconds time) noexcept {
  timeval bound{static_cast<time_t>(time.count() / 1'000'000'000),
                static_cast<suseconds_t>(time.count() % 1'000'000'000 / 1'000)};
  if (bound.tv_sec == 0 && bound.tv_usec == 0) bound.tv_usec = 1;  // 0 would be "for ever"
  syscall(SYS_setsockopt, socket.get(), SOL_SOCKET, option, &bound, sizeof bound);
}

Result<UniqueFd> stream_socket(const TcpAddress& address, int flags) {
  UniqueFd fd(static_cast<int>(
      syscall(SYS_socket, address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, IPPROTO_TCP)));
  if (!fd.is_open()) return std::unexpected(system_error("socket", "TCP"));
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

std::unexpected<Error> malformed(std::string_view host_port) {
  return fail(ErrorCode::kInvalidInput,
              "\"" + std::string(host_port) + "\" is no HOST:PORT; write it as 10.0.0.1:7440, host:7440 or [::1]:7440");
}

}  // namespace

Result<TcpAddress> resolve_tcp(std::string_view host_port) {
  const size_t colon = host_port.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == host_port.size()) return malformed(host_port);
  std::string_view host = host_port.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return malformed(host_port);
  const std::string port(host_port.substr(colon + 1));
  if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos || std::stoul(port) > 65535)
    return malformed(host_port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(std::string(host).c_str(), port.c_str(), &hints, &list);
  if (error != 0)
    return fail(ErrorCode::kUnavailable, "cannot resolve \"" + std::string(host) + "\": " + gai_strerror(error) +
                                             "; check the name, or write an address");
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, freeaddrinfo);
  TcpAddress address;
  address.length = list->ai_addrlen;
  std::memcpy(&address.bytes, list->ai_addr, list->ai_addrlen);
  return address;
}

std::string to_string(const TcpAddress& address) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address.bytes), address.length, host, sizeof host, port,
                  sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  const bool is_v6 = address.bytes.ss_family == AF_INET6;
  return (is_v6 ? "[" : "") + std::string(host) + (is_v6 ? "]:" : ":") + port;
}

Result<UniqueFd> listen_tcp(const TcpAddress& address) {
  TIARA_TRY(UniqueFd fd, stream_socket(address, SOCK_NONBLOCK));
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);  // a node that is started again need not wait for old connections to fade
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.bytes), address.length) != 0)
    return std::unexpected(system_error("bind", to_string(address)));
  if (listen(fd.get(), kListenBacklog) != 0) return std::unexpected(system_error("listen", to_string(address)));
  return fd;
}

Result<TcpAddress> local_address(const UniqueFd& socket) {
  TcpAddress address;
  address.length = sizeof address.bytes;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address.bytes), &address.length) != 0)
    return std::unexpected(system_error("getsockname"));
  return address;
}

UniqueFd accept_tcp(const UniqueFd& listener) noexcept {
  long fd = -1;
  do fd = syscall(SYS_accept4, listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  UniqueFd socket(static_cast<int>(fd));
  if (socket.is_open()) set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

Result<UniqueFd> open_tcp(const TcpAddress& address, Nanoseconds slice) {
  TIARA_TRY(UniqueFd fd, stream_socket(address, 0));
  set_time(fd, SO_RCVTIMEO, slice);
  return fd;
}

void bound_silence(const UniqueFd& socket, Nanoseconds bound) noexcept {
  const KeepErrno keep;
  const auto seconds = static_cast<int>(std::clamp<int64_t>(bound.count() / 1'000'000'000, 3, 3600));
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 2));
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 6));
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
}

int connect_tcp(const UniqueFd& socket, const TcpAddress& address, Nanoseconds timeout) noexcept {
  const KeepErrno keep;
  set_time(socket, SO_SNDTIMEO, timeout);
  long result = syscall(SYS_connect, socket.get(), &address.bytes, address.length);
  // EINTR: the attempt goes on; asking again waits for it.
  while (result != 0 && errno == EINTR) result = syscall(SYS_connect, socket.get(), &address.bytes, address.length);
  if (result == 0 || errno == EISCONN) return 0;
  return errno == EINPROGRESS || errno == EAGAIN || errno == EALREADY ? ETIMEDOUT : errno;
}

void disconnect_tcp(const UniqueFd& socket) noexcept {
  const KeepErrno keep;
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  syscall(SYS_connect, socket.get(), &nobody, sizeof nobody);
}

void shut_down(const UniqueFd& socket) noexcept {
  const KeepErrno keep;
  syscall(SYS_shutdown, socket.get(), SHUT_RDWR);
}

long receive_some(const UniqueFd& socket, std::span<std::byte> room, Wait wait) noexcept {
  const KeepErrno keep;
  const long got = syscall(SYS_recvfrom, socket.get(), room.data(), room.size(), wait == Wait::kNo ? MSG_DONTWAIT : 0,
                           nullptr, nullptr);
  if (got > 0) return got;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

long send_some(const UniqueFd& socket, std::span<const std::byte> bytes) noexcept {
  const KeepErrno keep;
  const long sent =
      syscall(SYS_sendto, socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

void poll_socket(const UniqueFd& socket, PollFor what, Nanoseconds bound) noexcept {
  const KeepErrno keep;
  pollfd poll{socket.get(), static_cast<short>(what == PollFor::kRoom ? POLLOUT : POLLOUT | POLLIN), 0};
  timespec time{static_cast<time_t>(bound.count() / 1'000'000'000), static_cast<long>(bound.count() % 1'000'000'000)};
  syscall(SYS_ppoll, &poll, 1, &time, nullptr, 0);
}

}  // namespace tiara::os
