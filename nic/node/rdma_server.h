// Serves sessions over RDMA: one control thread for connections, handshakes, control questions and leases, and workers
// for the data path (rdma_worker.h). nic/wire/rdma_layout.h tells what travels.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nic/node/lease.h"
#include "nic/node/rdma_worker.h"
#include "nic/node/server.h"
#include "nic/verbs/manager.h"

namespace tiara::nic {

class RdmaServer final : public NodeServer {
 public:
  static Result<std::unique_ptr<RdmaServer>> start(std::string_view host_port, MemoryNode& node,
                                                   const ServerConfig& config);
  ~RdmaServer() override;
  uint32_t workers() const noexcept override { return static_cast<uint32_t>(workers_.size()); }
  std::string url() const override { return url_; }
  std::string_view moves_bytes_with() const noexcept override { return "verbs"; }
  ServerStats stats() const override;

 private:
  struct Connection {
    std::shared_ptr<RdmaConnection> ends;
    RdmaWorker* worker = nullptr;
    os::Nanoseconds hello_deadline{};
    std::shared_ptr<StreamSession> session;  // once it has said hello
    uint64_t epoch = 0;
  };

  RdmaServer(MemoryNode& node, const ServerConfig& config);
  Result<void> set_up(std::string_view host_port);
  void run() noexcept;
  void wait() noexcept;
  void handle(verbs::ManagerEvent event);
  void accept(verbs::ManagerEvent request);
  Result<std::shared_ptr<RdmaConnection>> make_connection(RdmaWorker& worker, verbs::Id id,
                                                          const wire::RdmaHello& hello);
  void take_mail();
  void shake_hands(Connection& connection, std::span<const std::byte> bytes);
  void answer_question(Connection& connection, std::span<const std::byte> bytes);
  void end(uint64_t key);
  void drop_silent();

  MemoryNode& node_;
  const ServerConfig config_;
  std::string url_;
  LeaseTable leases_;
  RdmaCounters counters_;
  RdmaWorker::Mailbox mailbox_;
  std::unique_ptr<verbs::Manager> manager_;
  verbs::Id listener_;
  std::vector<std::unique_ptr<RdmaWorker>> workers_;
  std::vector<verbs::Registration> pools_;  // by worker; empty unless the node answers one-sided reads
  std::map<uint64_t, Connection> connections_;  // the control thread's own
  uint64_t next_key_ = 1;
  std::atomic<bool> is_stopping_{false};
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
