#include "nic/node/server.h"

#include "nic/node/rdma_serve.h"
#include "nic/node/shm_server.h"
#include "nic/node/tcp_server.h"

namespace tiara::nic {

Result<std::unique_ptr<NodeServer>> serve(std::string_view url, MemoryNode& node, const ServerConfig& config) {
  constexpr std::string_view kShm = "shm://";
  if (url.starts_with(kShm)) return ShmServer::start(std::string(url.substr(kShm.size())), node, config);
  constexpr std::string_view kTcp = "tcp://";
  if (url.starts_with(kTcp)) return TcpServer::start(url.substr(kTcp.size()), node, config);
  constexpr std::string_view kRdma = "rdma://";
  if (url.starts_with(kRdma)) return serve_rdma(url.substr(kRdma.size()), node, config);
  return fail(ErrorCode::kInvalidInput,
              "cannot serve \"" + std::string(url) + "\"; use shm://PATH, tcp://HOST:PORT or rdma://ADDRESS:PORT");
}

}  // namespace tiara::nic
