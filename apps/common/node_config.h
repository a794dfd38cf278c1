// The configuration file of `tiara node`: JSON, validated as a whole before anything is done with it.
//
//   {
//     "listen": ["shm:///run/tiara/node.sock"],
//     "memory": "8G",
//     "control": "/run/tiara/control.sock", "admin_token_file": "/etc/tiara/admin.token",
//     "metrics": "127.0.0.1:9478", "log": "json", "peer_token_file": "/etc/tiara/peers.token",
//     "tenants": [
//       {"name": "red", "token_file": "/etc/tiara/red.token", "memory": "4G", "time_percent": 50, "weight": 2},
//       {"name": "blue", "token_env": "BLUE_TOKEN", "sessions": 100, "shared": true}
//     ]
//   }
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nic/node/tenants.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::apps {

struct NodeFileConfig {
  std::vector<std::string> listen;
  std::optional<Bytes> memory;
  std::string control;      // path of the control socket; empty: none
  std::string admin_token;  // what its clients must bring; empty: who may open the socket
  std::string metrics;      // HOST:PORT; empty: none
  std::string log;          // text or json; empty: not said
  std::string peer_token;   // what nodes bring each other; empty: nothing
  std::vector<nic::TenantConfig> tenants;
};

// Every member is known, of its type and within its limits, or the error names the member and what would be accepted.
// Token files and variables are read here; a token never stands in the file itself.
Result<NodeFileConfig> parse_node_config(std::string_view text);
Result<NodeFileConfig> read_node_config(const std::string& path);

// The first line of the file, which nobody but its owner and root may read.
Result<std::string> read_token_file(const std::string& path);

}  // namespace tiara::apps
