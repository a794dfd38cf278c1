// Serving a memory node to other processes.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "nic/node/memory_node.h"
#include "nic/wire/shm_layout.h"
#include "runtime/base/error.h"
#include "runtime/os/stream_loop.h"

namespace tiara::nic {

struct ServerConfig {
  // Threads that run operators; 0: one for every four CPUs. More than that only takes CPUs from the clients that wait
  // for them on the same machine.
  uint32_t workers = 0;
  uint32_t max_slots = 64;        // requests that one session may have outstanding
  uint32_t max_connections = 4096;
  SessionKind serves = SessionKind::kClient;  // who is at the other end
  std::chrono::milliseconds hello_timeout{5'000};  // a connection that has not said hello by then is closed

  // tcp and rdma only.
  std::chrono::milliseconds lease{30'000};  // how long a client that lost its connection may take to come back
  os::IoBackend io = os::IoBackend::kAuto;
  // tcp:// only. PEM files: the node's certificate with its chain, and the key. Given: every connection speaks TLS or
  // is ended.
  std::string tls_certificate;
  std::string tls_key;
};

// How many `config` asks for.
inline uint32_t worker_count(const ServerConfig& config) noexcept {
  const uint32_t automatic = std::max(1u, std::thread::hardware_concurrency() / 4);
  return std::clamp(config.workers == 0 ? automatic : config.workers, 1u, wire::kMaxWorkers);
}

// What happened where clients come in, since the server started. Figures.
struct ServerStats {
  uint32_t away = 0;             // sessions without a connection, lease running
  uint64_t resumed = 0;          // sessions whose client came back
  uint64_t resumes_refused = 0;  // who came back too late, to another node, or with a wrong secret
  uint64_t expired = 0;          // leases that ran out
  uint64_t malformed = 0;        // connections ended for bytes that are no frames
  uint64_t corrupted = 0;        // connections ended for bytes that do not match their hash
  uint64_t stragglers = 0;       // requests of dead connections, dropped
  uint64_t insecure = 0;         // connections ended for a TLS handshake or record that was wrong
};

class NodeServer {
 public:
  // Stops serving: clients see the node as lost. Their address spaces are reaped.
  virtual ~NodeServer() = default;
  virtual uint32_t workers() const noexcept = 0;
  // Where clients reach it: the URL that was asked for, with the port that the kernel chose for port 0.
  virtual std::string url() const = 0;
  // "io_uring", "sockets", "verbs" or "shared memory".
  virtual std::string_view moves_bytes_with() const noexcept = 0;
  virtual bool is_encrypted() const noexcept { return false; }
  virtual ServerStats stats() const = 0;  // any thread
};

// `url` is shm://PATH, tcp://HOST:PORT or rdma://ADDRESS:PORT (port 0: any). Serves until the server is destroyed;
// `node` must outlive it.
Result<std::unique_ptr<NodeServer>> serve(std::string_view url, MemoryNode& node, const ServerConfig& config);

}  // namespace tiara::nic
