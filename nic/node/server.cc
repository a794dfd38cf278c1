#include "nic/node/server.h"

#include <algorithm>
#include <thread>

#include "nic/node/shm_server.h"
#include "nic/node/tcp_server.h"

namespace tiara::nic {

uint32_t worker_count(const ServerConfig& config) noexcept {
  const uint32_t automatic = std::max(1u, std::thread::hardware_concurrency() / 4);
  return std::clamp(config.workers == 0 ? automatic : config.workers, 1u, wire::kMaxWorkers);
}

Result<std::unique_ptr<NodeServer>> serve(std::string_view url, MemoryNode& node, const ServerConfig& config) {
  constexpr std::string_view kShm = "shm://";
  if (url.starts_with(kShm)) return ShmServer::start(std::string(url.substr(kShm.size())), node, config);
  constexpr std::string_view kTcp = "tcp://";
  if (url.starts_with(kTcp)) return TcpServer::start(url.substr(kTcp.size()), node, config);
  return fail(ErrorCode::kInvalidInput, "cannot serve \"" + std::string(url) + "\"; use shm://PATH or tcp://HOST:PORT");
}

}  // namespace tiara::nic
