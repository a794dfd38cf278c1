// Serves sessions over TCP: one control thread for handshakes, control questions, leases and the ends of clients, and
// workers for the data path (tcp_worker.h). nic/wire/handshake.h tells what a connection says first.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nic/node/lease.h"
#include "nic/node/secured_stream.h"
#include "nic/node/server.h"
#include "nic/node/tcp_worker.h"
#include "nic/wire/control.h"
#include "runtime/os/tcp.h"
#include "runtime/os/thread.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class TcpServer final : public NodeServer {
 public:
  static Result<std::unique_ptr<TcpServer>> start(std::string_view host_port, MemoryNode& node,
                                                  const ServerConfig& config);
  // One without threads of its own, for whoever calls step(): always the thread that created it. For what wants to run
  // server and clients in one thread.
  static Result<std::unique_ptr<TcpServer>> create(std::string_view host_port, MemoryNode& node,
                                                   const ServerConfig& config);
  // Does what there is to do now, on all connections; false: there was nothing.
  bool step();
  ~TcpServer() override;
  uint32_t workers() const noexcept override { return static_cast<uint32_t>(workers_.size()); }
  std::string url() const override { return url_; }
  std::string_view moves_bytes_with() const noexcept override { return os::to_string(workers_.front()->backend()); }
  bool is_encrypted() const noexcept override { return identity_ != nullptr; }

  ServerStats stats() const override;
  LeaseTable::Stats lease_stats() const { return leases_.stats(); }
  const StreamCounters& counters() const noexcept { return counters_; }

 private:
  // One that has not said what it is, or a control connection.
  struct Connection {
    uint64_t key = 0;
    UniqueFd socket;
    std::unique_ptr<SecuredStream> secured;  // where there is TLS
    std::vector<std::byte> inbox;
    os::Nanoseconds hello_deadline{};
    std::shared_ptr<StreamSession> session;  // once it has said hello
    uint64_t epoch = 0;
  };
  enum class Keep { kYes, kNo };

  TcpServer(MemoryNode& node, const ServerConfig& config);
  enum class Threads : uint8_t { kOwn, kNone };
  Result<void> set_up(std::string_view host_port, Threads threads);
  Result<void> watch(const UniqueFd& fd, uint64_t event, uint32_t events);
  void run() noexcept;
  int handle_events(int milliseconds);
  int milliseconds_to_next_deadline() const noexcept;
  void accept_all();
  void drop(uint64_t key);
  void drop_silent();
  void drop_control_of(const StreamSession& session);
  Keep read(Connection& connection);
  Keep take_in(Connection& connection, std::span<const std::byte> bytes);
  Keep send(Connection& connection, std::span<const std::byte> bytes);
  Keep shake_hands(Connection& connection);
  Keep hand_over(Connection& connection, const wire::Handshake& question, LeaseTable::Opened opened);
  Keep answer_questions(Connection& connection);

  MemoryNode& node_;
  const ServerConfig config_;
  std::string url_;
  LeaseTable leases_;
  StreamCounters counters_;
  std::shared_ptr<const tls::Identity> identity_;  // nullptr: no TLS
  UniqueFd listener_;
  UniqueFd epoll_;
  UniqueFd stop_;
  std::vector<std::unique_ptr<TcpWorker>> workers_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;  // the control thread's own
  uint64_t next_key_ = 2;
  uint32_t silent_connections_ = 0;  // that have not said hello
  std::atomic<bool> is_stopping_{false};
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
