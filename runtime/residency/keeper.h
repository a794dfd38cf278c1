// The runtime's own threads inside the process: the keeper (measures near memory, watches the descriptors that
// everything depends on), the service thread (write-back that no fault waits for) and, for testing, chaos.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "runtime/base/error.h"
#include "runtime/residency/pager.h"

namespace tiara::residency {

class Keeper {
 public:
  explicit Keeper(Pager& pager) noexcept : pager_(pager) {}
  Keeper(const Keeper&) = delete;

  // `descriptors`: closing or replacing one of them would make far memory read as zeros or hang; the process is
  // stopped instead. `mapped` tells how much of the space is in use.
  Result<void> start(std::span<const int> descriptors, uint64_t chaos_seed, PageCount (*mapped)(void*), void* context);
  // Called about once a second from start() on; before it.
  void keep_house(void (*run)(void*), void* context) noexcept {
    keep_house_ = run;
    house_ = context;
  }
  void stop() noexcept { is_stopping_.store(true, std::memory_order_relaxed); }

  // A descriptor of its own that the program must not close either; -1 before start().
  int descriptor() const noexcept { return proc_status_; }

  // One look at the process; the keeper thread does it every 20 ms.
  void measure() noexcept;
  void check_descriptors() noexcept;

 private:
  struct Watched {
    int descriptor = -1;
    uint64_t device = 0;
    uint64_t inode = 0;
  };
  static void run_keeper(void* self);
  static void run_service(void* self);
  static void run_chaos(void* self);

  Pager& pager_;
  std::array<Watched, 16> watched_;
  int proc_status_ = -1;
  uint64_t chaos_state_ = 0;
  PageCount (*mapped_)(void*) = nullptr;
  void* context_ = nullptr;
  void (*keep_house_)(void*) = nullptr;
  void* house_ = nullptr;
  std::atomic<bool> is_stopping_{false};
};

}  // namespace tiara::residency
