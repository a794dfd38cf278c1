// A memory node for tests: small pool, native operators that need no program.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "nic/node/memory_node.h"
#include "nic/node/server.h"
#include "nic/transport/channel.h"
#include "nic/transport/connect.h"
#include "runtime/os/clock.h"
#include "tests/unit/nic/transport/test_certificates.h"

namespace tiara::nic::testing {

// Gives the payload back and the sum of the arguments.
inline Outcome echo(const Invocation& invocation) noexcept {
  Outcome outcome;
  if (invocation.payload.size() > invocation.reply.size()) {
    outcome.status = Status::kFault;
    outcome.code = static_cast<uint16_t>(Fault::kReplyBounds);
    return outcome;
  }
  std::copy(invocation.payload.begin(), invocation.payload.end(), invocation.reply.begin());
  outcome.status = Status::kOk;
  outcome.reply_bytes = invocation.payload.size();
  for (const uint64_t argument : invocation.arguments) outcome.results[0] += argument;
  return outcome;
}

// Runs until hold_gate is opened (or for ever, in a node process).
inline std::atomic<bool> hold_gate{false};
inline std::atomic<uint32_t> held{0};
inline Outcome hold(const Invocation&) noexcept {
  held.fetch_add(1);
  while (!hold_gate.load()) usleep(100);  // sleep: held until the test lets go
  held.fetch_sub(1);
  Outcome outcome;
  outcome.status = Status::kOk;
  return outcome;
}

inline NodeConfig test_config() {
  NodeConfig config;
  config.pool.size = Bytes{8 * kMiB};
  config.natives = {{"echo", echo}, {"hold", hold}};
  return config;
}

inline std::shared_ptr<MemoryNode> make_node(const NodeConfig& config = test_config()) {
  auto node = MemoryNode::create(config, {});
  REQUIRE(node);
  return std::move(*node);
}

inline OperatorId operator_named(Channel& channel, std::string_view name) {
  const auto info = channel.info();
  REQUIRE(info);
  for (const auto& [known, id] : info->operators)
    if (known == name) return id;
  FAIL("no operator " << name);
  return {};
}

// A socket path of this process, unlinked at the end.
class SocketPath {
 public:
  SocketPath() {
    static std::atomic<int> next{0};
    path_ = "/tmp/tiara-test-" + std::to_string(getpid()) + "-" + std::to_string(next++) + ".sock";
    unlink(path_.c_str());
  }
  ~SocketPath() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }
  std::string url() const { return "shm://" + path_; }

 private:
  std::string path_;
};

// Where the machine has an RDMA device: its address (tests/vm). Then the suite runs over RDMA and nothing else.
inline const char* rdma_address() { return std::getenv("TIARA_TEST_RDMA_ADDRESS"); }
inline std::string rdma_url() {
  REQUIRE(rdma_address() != nullptr);
  return std::string("rdma://") + rdma_address() + ":0";
}

// A node in this process and a way to reach it, over any transport.
class Link {
 public:
  enum class Kind { kLoop, kShm, kTcp, kTcpSockets, kTls, kTlsSockets, kRdma };
  explicit Link(Kind kind, const NodeConfig& config = test_config(), uint32_t workers = 1)
      : kind_(kind), node_(make_node(config)), token_(config.token) {
    ServerConfig server;
    server.workers = workers;
    switch (kind) {
      case Kind::kLoop: return;
      case Kind::kShm: listen(socket_.url(), server); return;
      case Kind::kTlsSockets: server.io = os::IoBackend::kSockets; [[fallthrough]];
      case Kind::kTls:
        server.tls_certificate = test_certificates().certificate_file();
        server.tls_key = test_certificates().key_file();
        query_ = test_certificates().query();
        listen("tcp://127.0.0.1:0", server);
        return;
      case Kind::kTcpSockets: server.io = os::IoBackend::kSockets; [[fallthrough]];
      case Kind::kTcp: listen("tcp://127.0.0.1:0", server); return;
      case Kind::kRdma: listen(rdma_url(), server); return;
    }
  }
  Result<std::unique_ptr<Channel>> try_connect(const ConnectOptions& options) const {
    return kind_ == Kind::kLoop ? connect_loop(node_, options.token) : nic::connect(url(), options);
  }
  std::unique_ptr<Channel> connect() const {
    ConnectOptions options;
    options.token = token_;
    auto channel = try_connect(options);
    if (!channel) FAIL(channel.error().message);
    return std::move(*channel);
  }
  // With what a client needs to reach it.
  std::string url() const { return server_->url() + query_; }
  const std::string& query() const { return query_; }
  MemoryNode& node() const { return *node_; }
  const SocketPath& socket() const { return socket_; }
  NodeServer& server() const { return *server_; }
  void end_server() { server_.reset(); }

 private:
  void listen(const std::string& url, const ServerConfig& config) {
    auto serving = serve(url, *node_, config);
    if (!serving) FAIL(serving.error().message);
    server_ = std::move(*serving);
  }

  Kind kind_;
  SocketPath socket_;
  std::shared_ptr<MemoryNode> node_;
  std::string token_;
  std::string query_;
  std::unique_ptr<NodeServer> server_;
};

// Whether the condition holds soon: another thread or process has to get there.
template <typename Condition>
bool eventually(Condition condition) {
  const auto deadline = os::monotonic_now() + std::chrono::seconds(60);
  while (!condition()) {
    if (os::monotonic_now() > deadline) return false;
    usleep(1000);  // sleep: somebody else has to get there
  }
  return true;
}

}  // namespace tiara::nic::testing
