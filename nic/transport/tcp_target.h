// What stands behind tcp:// in a node's URL.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace tiara::nic {

struct TcpTarget {
  std::string host_port;
  std::string authorities;  // the file with whom to trust; empty: no TLS
  std::string name;         // that the node's certificate must have

  friend bool operator==(const TcpTarget&, const TcpTarget&) = default;
};

// HOST:PORT, or HOST:PORT?tls=AUTHORITIES, or HOST:PORT?tls=AUTHORITIES&name=NAME. AUTHORITIES is an absolute path: the
// URL goes on to child processes, which may be elsewhere. Without NAME the certificate must be HOST's.
Result<TcpTarget> parse_target(std::string_view text);

}  // namespace tiara::nic
