// Serves shm sessions at a UNIX socket: one control thread for connections, control requests and deaths, and workers
// for the data path. A client's death is seen on its socket, or on its pidfd where a forked child still holds the
// socket; its address spaces are reaped at once.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nic/node/server.h"
#include "nic/node/shm_session.h"
#include "nic/node/shm_worker.h"
#include "nic/wire/control.h"
#include "nic/wire/shm_layout.h"
#include "runtime/os/memory.h"
#include "runtime/os/thread.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class ShmServer final : public NodeServer {
 public:
  static Result<std::unique_ptr<ShmServer>> start(const std::string& path, MemoryNode& node,
                                                  const ServerConfig& config);
  ~ShmServer() override;
  uint32_t workers() const noexcept override { return static_cast<uint32_t>(workers_.size()); }
  std::string url() const override { return "shm://" + path_; }
  std::string_view moves_bytes_with() const noexcept override { return "shared memory"; }
  ServerStats stats() const override {
    ServerStats stats;
    stats.malformed = malformed_.load(std::memory_order_relaxed);
    return stats;
  }

 private:
  struct Connection {
    uint64_t key = 0;
    UniqueFd socket;
    UniqueFd process;  // pidfd of the client; may be closed
    std::vector<std::byte> inbox;
    os::Nanoseconds hello_deadline{};
    std::shared_ptr<ShmSession> session;  // once it has said hello
    ShmWorker* worker = nullptr;
  };
  enum class Keep { kYes, kNo };

  ShmServer(std::string path, MemoryNode& node, const ServerConfig& config) noexcept;
  Result<void> set_up();
  void run() noexcept;
  int milliseconds_to_next_deadline() const noexcept;
  void accept_all();
  void drop_silent();
  void drop(uint64_t key);
  Keep read_requests(Connection& connection);
  Keep give_up() noexcept;
  Keep answer(Connection& connection, const wire::ControlHeader& header, std::span<const std::byte> body);
  Keep welcome(Connection& connection, const wire::ControlHeader& header, std::span<const std::byte> body);
  Result<wire::Body> open_session(Connection& connection, const wire::Hello& hello, UniqueFd& segment);
  Result<void> watch(const UniqueFd& fd, uint64_t event, uint32_t events);

  const std::string path_;
  MemoryNode& node_;
  const ServerConfig config_;
  UniqueFd listener_;
  UniqueFd epoll_;
  UniqueFd stop_;
  UniqueFd board_fd_;  // sealed: clients map it read-only
  os::Mapping board_;
  std::vector<std::unique_ptr<ShmWorker>> workers_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;  // the control thread's own
  uint64_t next_key_;
  uint32_t silent_connections_ = 0;  // that have not said hello
  std::atomic<uint64_t> malformed_{0};  // a figure
  std::atomic<bool> is_stopping_{false};
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
