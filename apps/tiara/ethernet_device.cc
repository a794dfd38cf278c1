#include "apps/tiara/ethernet_device.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace tiara::apps {
namespace {

// A burst of 64 pages from several clients, before the kernel drops.
constexpr int kReceiveBuffer = 32 << 20;

Error advised(Error error, const char* advice) {
  if (advice != nullptr) error.message.append("; ").append(advice);
  return error;
}

ifreq named(const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  return request;
}

Result<void> check_device(const std::string& name, size_t frame_bytes) {
  if (name.empty() || name.size() >= IFNAMSIZ || if_nametoindex(name.c_str()) == 0)
    return fail(ErrorCode::kNotFound, "there is no network device " + name + "; `ip link` lists those there are");
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = named(name);
  if (!any.is_open() || ioctl(any.get(), SIOCGIFFLAGS, &request) != 0)
    return std::unexpected(system_error("SIOCGIFFLAGS", name));
  if ((request.ifr_flags & IFF_UP) == 0)
    return fail(ErrorCode::kInvalidInput, "the network device " + name + " is down; ip link set " + name + " up");
  request = named(name);
  if (ioctl(any.get(), SIOCGIFMTU, &request) != 0) return std::unexpected(system_error("SIOCGIFMTU", name));
  if (const size_t payload = frame_bytes - ETH_HLEN; static_cast<size_t>(request.ifr_mtu) < payload)
    return fail(ErrorCode::kInvalidInput, "the network device " + name + " carries packets of " +
                                              std::to_string(request.ifr_mtu) + " bytes, and " +
                                              std::to_string(payload) + " are needed; ip link set " + name + " mtu " +
                                              std::to_string(payload) + ", and so on at the other end");
  return {};
}

// By its driver: /sys shows the devices of the network namespace that it was mounted in.
Result<bool> is_tap_device(const std::string& name) {
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  ifreq request = named(name);
  request.ifr_data = reinterpret_cast<char*>(&driver);
  if (any.is_open() && ioctl(any.get(), SIOCETHTOOL, &request) == 0) return std::string_view(driver.driver) == "tun";
  if (errno == EOPNOTSUPP) return false;  // a driver without a name
  return std::unexpected(system_error("SIOCETHTOOL", name));
}

Result<UniqueFd> open_tap(const std::string& name) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return std::unexpected(advised(system_error("open", "/dev/net/tun"), "a TAP device needs it"));
  ifreq request = named(name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    const char* const advice = errno == EPERM   ? "run as root, with CAP_NET_ADMIN, or as the device's user"
                               : errno == EBUSY ? "another program has this TAP device open" : nullptr;
    return std::unexpected(advised(system_error("TUNSETIFF", name), advice));
  }
  return fd;
}

Result<UniqueFd> open_packet_socket(const std::string& name) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP)));
  if (!fd.is_open()) {
    const char* const advice = errno == EPERM ? "run as root, or with CAP_NET_RAW" : nullptr;
    return std::unexpected(advised(system_error("socket", "AF_PACKET"), advice));
  }
  // Forced, or as much as the machine lets anybody have.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) != 0 &&
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer) != 0)
    return std::unexpected(system_error("SO_RCVBUF", name));
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(ETH_P_IP);
  here.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0)
    return std::unexpected(system_error("bind", "a packet socket on " + name));
  // Frames to an address that is not the device's own.
  packet_mreq all{};
  all.mr_ifindex = here.sll_ifindex;
  all.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0)
    return std::unexpected(system_error("PACKET_ADD_MEMBERSHIP", name));
  return fd;
}

}  // namespace

Result<EthernetDevice> EthernetDevice::open(const std::string& name, size_t frame_bytes) {
  TIARA_TRY_VOID(check_device(name, frame_bytes));
  TIARA_TRY(const bool is_tap, is_tap_device(name));
  TIARA_TRY(UniqueFd fd, is_tap ? open_tap(name) : open_packet_socket(name));
  return EthernetDevice(std::move(fd), is_tap);
}

std::optional<size_t> EthernetDevice::receive(std::span<std::byte> room) noexcept {
  for (;;) {
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t got = is_tap_ ? ::read(fd_.get(), room.data(), room.size())
                                : recvfrom(fd_.get(), room.data(), room.size(), MSG_DONTWAIT,
                                           reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;  // nothing there, or the device went down: it may come up again
    if (!is_tap_ && from.sll_pkttype == PACKET_OUTGOING) continue;
    return static_cast<size_t>(got);
  }
}

bool EthernetDevice::send(std::span<const std::byte> frame) noexcept {
  const ssize_t sent = is_tap_ ? ::write(fd_.get(), frame.data(), frame.size())
                               : ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(frame.size());
}

void EthernetDevice::wait(os::Nanoseconds most) const noexcept {
  pollfd readable{fd_.get(), POLLIN, 0};
  const timespec time{most.count() / 1'000'000'000, most.count() % 1'000'000'000};
  ppoll(&readable, 1, &time, nullptr);
}

}  // namespace tiara::apps
