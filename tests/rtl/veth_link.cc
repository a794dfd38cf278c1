#include "tests/rtl/veth_link.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tiara::nic::rtl {
namespace {

// The kernel must finish checksums itself: a frame goes to a packet socket, not to hardware that would.
void finish_checksums(int socket, const std::string& device) {
  ethtool_value off{ETHTOOL_STXCSUM, 0};
  ifreq request{};
  std::memcpy(request.ifr_name, device.data(), device.size());
  request.ifr_data = reinterpret_cast<char*>(&off);
  if (ioctl(socket, SIOCETHTOOL, &request) != 0) die("SIOCETHTOOL");
}

sockaddr_in address_of(const wire::NetworkAddress& address) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(address.port);
  out.sin_addr.s_addr = htonl(address.ip);
  return out;
}

}  // namespace

void skip(const char* what) {
  fprintf(stderr, "skipped: %s: %s\n", what, strerror(errno));
  exit(77);
}
void die(const char* what) {
  fprintf(stderr, "failed: %s\n", what);
  exit(1);
}
void must_run(const std::string& command) {
  if (system(command.c_str()) != 0) die(command.c_str());
}

int open_client_socket(const std::string& device) {
  must_run("ip link set " + device + " address 02:74:6e:69:63:02 mtu 9000 up && ip addr add 10.77.0.2/24 dev " +
           device + " && ip neigh replace 10.77.0.1 lladdr 02:74:6e:69:63:01 dev " + device + " nud permanent");
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in here = address_of(kClientAtVeth), there = address_of(kNicAtVeth);
  if (socket < 0 || bind(socket, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
      connect(socket, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0)
    die("the client's socket");
  finish_checksums(socket, device);
  return socket;
}

}  // namespace tiara::nic::rtl
