// A memory node at work: made, served, administered and ended.
#pragma once

#include <string>
#include <vector>

#include "apps/common/node_log.h"
#include "apps/tiara/node_ethernet.h"
#include "nic/node/memory_node.h"
#include "nic/node/server.h"

namespace tiara::apps {

struct Serving {
  std::vector<std::string> urls;
  std::string peers_url;    // empty: other nodes do not reach it
  std::string control;      // path of the control socket; empty: none
  std::string admin_token;  // what requests there must bring; empty: nothing
  std::string metrics;      // HOST:PORT; empty: none
  EthernetConfig ethernet;  // then `hardware` is what runs operators
  std::shared_ptr<nic::rtl::NicEngine> hardware;
  NodeLog::Format log = NodeLog::Format::kText;
};

// Until SIGINT, SIGTERM or SIGHUP, or until a node that is drained has served its last session. Returns the exit
// status. Those signals must be blocked in every thread: they are waited for.
int serve_until_told(const Serving& serving, const nic::NodeConfig& config, const nic::ServerConfig& server_config);

}  // namespace tiara::apps
