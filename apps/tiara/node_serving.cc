#include "apps/tiara/node_serving.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <iterator>

#include "apps/common/command.h"
#include "apps/common/node_control.h"
#include "apps/tiara/node_metrics.h"
#include "nic/operators/peer_library.h"
#include "pagetable/builtin.h"
#include "runtime/base/config.h"

namespace tiara::apps {
namespace {

using Servers = std::vector<std::unique_ptr<nic::NodeServer>>;

int complain_of_listening(const char* option, const std::string& url, const Error& error) {
  const bool is_malformed = error.code == ErrorCode::kInvalidInput && !url.starts_with("shm://");
  return complain(is_malformed ? kExitUsage : kExitOsError, fmt::format("{} {}: {}", option, url, error.message));
}

// Starts serving at every address, other nodes' first: nullopt, or the exit status after a complaint.
std::optional<int> listen(const Serving& serving, nic::MemoryNode& node, const nic::ServerConfig& config,
                          Servers& servers) {
  if (!serving.peers_url.empty()) {
    nic::ServerConfig for_peers = config;
    for_peers.workers = 1;  // operators of two instructions
    for_peers.serves = nic::SessionKind::kPeer;
    auto started = nic::serve(serving.peers_url, node, for_peers);
    if (!started) return complain_of_listening("--peers-listen", serving.peers_url, started.error());
    servers.push_back(std::move(*started));
  }
  for (const std::string& url : serving.urls) {
    auto started = nic::serve(url, node, config);
    if (!started) return complain_of_listening("--listen", url, started.error());
    servers.push_back(std::move(*started));
  }
  return std::nullopt;
}

void announce(const Serving& serving, const nic::MemoryNode& node, Bytes shared, const Servers& servers,
              const NodeMetrics* metrics, const NodeLog& log) {
  const size_t for_peers = serving.peers_url.empty() ? 0 : 1;
  const Bytes memory = node.stats().pool.total.bytes();
  if (for_peers != 0)
    fmt::print("tiara node: sharing {} with other nodes at {}\n", format_bytes(shared), servers.front()->url());
  for (size_t i = for_peers; i < servers.size(); i++)
    fmt::print("tiara node: serving {} of memory at {} with {} workers, process {}, over {}{}\n", format_bytes(memory),
               servers[i]->url(), servers[i]->workers(), getpid(), servers[i]->moves_bytes_with(),
               servers[i]->is_encrypted() ? " and TLS" : "");
  if (metrics != nullptr) fmt::print("tiara node: metrics at {}\n", metrics->url());
  std::fflush(stdout);
  if (serving.log == NodeLog::Format::kText) return;  // the lines above say it
  for (const auto& server : servers)
    log.event("serving", {{"url", server->url()},
                          {"memory_bytes", memory.value},
                          {"workers", server->workers()},
                          {"process", getpid()}});
}

void announce_ethernet(const EthernetConfig& config, const NodeEthernet& ethernet) {
  fmt::print("tiara node: on {} as {}\n", config.device, to_text(config.address));
  for (const std::string& line : ethernet.describe()) fmt::print("tiara node: {}\n", line);
}

void report_ethernet(const NodeEthernet& ethernet, nic::rtl::NicEngine& hardware) {
  const auto frames = ethernet.figures();
  const auto nic = hardware.network_figures();
  fmt::print("tiara node: ethernet: {} frames in, {} out, {} that the device did not take; the NIC ran {} requests, "
             "refused {}, answered {} again and dropped {} frames\n",
             frames.received, frames.sent, frames.unsent, nic.run, nic.refused, nic.answered_again, nic.dropped);
}

// Looks once a second whether there is something to log.
void wait_for_end(const nic::MemoryNode& node, NodeWatch& watch) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  constexpr timespec kLook{1, 0}, kLookWhileDraining{0, 100'000'000};
  while (sigtimedwait(&signals, nullptr, node.is_draining() ? &kLookWhileDraining : &kLook) < 0) {
    watch.look();
    if (node.is_draining() && node.stats().sessions == 0) return;
  }
}

}  // namespace

int serve_until_told(const Serving& serving, const nic::NodeConfig& config, const nic::ServerConfig& server_config) {
  const auto pages = pagetable::builtin_operators();
  std::vector<nic::BuiltinOperator> builtins(pages.begin(), pages.end());
  if (config.shared.value != 0) std::ranges::copy(nic::peers::builtin_operators(), std::back_inserter(builtins));
  const auto node = nic::MemoryNode::create(config, builtins);
  if (!node && node.error().code == ErrorCode::kInvalidInput) return complain(kExitUsage, node.error().message);
  if (!node) return complain(kExitOsError, node.error().message + "; ask for less with --memory");
  Servers servers;
  if (const auto status = listen(serving, **node, server_config, servers)) return *status;
  std::unique_ptr<NodeEthernet> ethernet;
  if (!serving.ethernet.device.empty()) {
    auto started = NodeEthernet::serve(serving.ethernet, config.token, **node, *serving.hardware);
    if (!started)
      return complain(kExitOsError, "--ethernet " + serving.ethernet.device + ": " + started.error().message);
    ethernet = std::move(*started);
  }
  const NodeLog log(serving.log);
  const ServedNode served{**node, servers};
  std::unique_ptr<NodeControl> control;
  if (!serving.control.empty()) {
    auto started = NodeControl::start(serving.control, serving.admin_token, served, log);
    if (!started) return complain(kExitOsError, "--control: " + started.error().message);
    control = std::move(*started);
  }
  std::unique_ptr<NodeMetrics> metrics;
  if (!serving.metrics.empty()) {
    auto started = NodeMetrics::serve(serving.metrics, served);
    if (!started) return complain(kExitOsError, "--metrics " + started.error().message);
    metrics = std::move(*started);
  }
  NodeWatch watch(served, log);
  if (ethernet != nullptr) announce_ethernet(serving.ethernet, *ethernet);
  announce(serving, **node, config.shared, servers, metrics.get(), log);
  wait_for_end(**node, watch);
  control.reset();
  metrics.reset();
  watch.look();
  if (ethernet != nullptr) report_ethernet(*ethernet, *serving.hardware);
  ethernet.reset();
  const auto stats = (*node)->stats();
  fmt::print(
      "tiara node: stopped; {} sessions, {} invocations, {} of them refused, {} faulted, {} still "
      "in use\n",
      stats.sessions_opened, stats.counts.invocations, stats.counts.refused, stats.counts.faulted,
      format_bytes(stats.pool.in_use.bytes()));
  if (serving.log == NodeLog::Format::kJson)
    log.event("stopped", {{"sessions", stats.sessions_opened},
                          {"invocations", stats.counts.invocations},
                          {"refused", stats.counts.refused},
                          {"faulted", stats.counts.faulted}});
  return kExitOk;
}

}  // namespace tiara::apps
