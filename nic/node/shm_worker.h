// A thread that runs operators for the shm sessions it has been given.
//
// It spins over their submission words while requests keep coming (os/spin.h bounds that), then says on the board that
// it sleeps, looks once more, and sleeps in epoll on the sessions' doorbells. An idle worker uses no CPU.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "nic/node/fair_share.h"
#include "nic/node/shm_session.h"
#include "nic/wire/shm_layout.h"
#include "runtime/base/error.h"
#include "runtime/os/spin.h"
#include "runtime/os/thread.h"
#include "runtime/os/unique_fd.h"

namespace tiara::nic {

class ShmWorker {
 public:
  // `line` is the worker's on the board, borrowed.
  static Result<std::unique_ptr<ShmWorker>> start(uint32_t number, wire::BoardLine& line);
  ~ShmWorker();

  Result<void> add(std::shared_ptr<ShmSession> session);
  // The worker lets go of the session soon; invocations of its may still run when this returns.
  void remove(const ShmSession& session);
  uint32_t session_count() const;

 private:
  using Sessions = std::vector<std::shared_ptr<ShmSession>>;

  ShmWorker(wire::BoardLine& line, UniqueFd epoll, UniqueFd kick) noexcept;
  void run() noexcept;
  bool serve_all(const Sessions& sessions) noexcept;
  bool serve_fairest(const Sessions& sessions) noexcept;
  bool wants_attention(const Sessions& sessions, uint64_t seen_changes) const noexcept;
  void sleep(const Sessions& sessions, uint64_t seen_changes, os::Nanoseconds idle_since) noexcept;
  void changed() noexcept;
  void publish_cpu() noexcept;

  wire::BoardLine& line_;
  UniqueFd epoll_;
  UniqueFd kick_;  // rings when the list of sessions changes, and at the end
  os::AdaptiveSpin spin_;
  uint32_t client_cpu_ = os::AdaptiveSpin::kNoCpu;  // of the last one served; the worker's own
  FairShare share_;          // the worker's own, as these two
  size_t next_session_ = 0;  // where the next search begins
  bool has_many_tenants_ = false;
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> changes_{1};  // of the list of sessions
  mutable std::mutex mutex_;          // sessions_; the worker takes it only after a change
  Sessions sessions_;
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
