#include "nic/transport/connect.h"

#include "nic/transport/loop_channel.h"
#include "nic/transport/rdma_connect.h"
#include "nic/transport/shm_channel.h"
#include "nic/transport/tcp_channel.h"
#include "nic/wire/control.h"

namespace tiara::nic {

Result<std::unique_ptr<Channel>> connect_loop(std::shared_ptr<MemoryNode> node, std::string_view token) {
  return LoopChannel::create(std::move(node), token);
}

namespace {

Result<std::unique_ptr<Channel>> connect_plainly(std::string_view url, const ConnectOptions& options) {
  constexpr std::string_view kShm = "shm://";
  if (url == "loop:") {
    TIARA_TRY(auto node, MemoryNode::create(options.embedded, options.builtins));
    return connect_loop(std::shared_ptr<MemoryNode>(std::move(node)), options.embedded.token);
  }
  if (url.starts_with(kShm)) return ShmChannel::connect(std::string(url.substr(kShm.size())), options);
  constexpr std::string_view kTcp = "tcp://";
  if (url.starts_with(kTcp)) return TcpChannel::connect(url.substr(kTcp.size()), options);
  constexpr std::string_view kRdma = "rdma://";
  if (url.starts_with(kRdma)) return connect_rdma(url.substr(kRdma.size()), options);
  return fail(ErrorCode::kInvalidInput,
              "\"" + std::string(url) +
                  "\" is no node that Tiara can reach; use loop:, shm://PATH, tcp://HOST:PORT or rdma://ADDRESS:PORT");
}

}  // namespace

Result<std::unique_ptr<Channel>> connect(std::string_view url, const ConnectOptions& options) {
  if (options.token.size() > wire::kMaxToken)
    return fail(ErrorCode::kInvalidInput, "a token of " + std::to_string(options.token.size()) +
                                              " bytes; use at most " + std::to_string(wire::kMaxToken));
  TIARA_TRY(auto channel, connect_plainly(url, options));
  if (!options.faults) return channel;
  return std::make_unique<FaultInjector>(std::move(channel), *options.faults);
}

}  // namespace tiara::nic
