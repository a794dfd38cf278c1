// The far memory of one process: a reservation of virtual address space whose pages live here or on a memory
// node. This is the whole of what placement and the preload layer know about paging.
//
// One FarMemory exists per process (faults arrive by signal or by thread, not by object). It is never destroyed:
// threads of the program may touch its pages until exit_group.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/config.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara {

namespace stats { struct ProcessStats; }

enum class FaultVerdict : uint8_t {
  kHandled,  // the access can be retried
  kNotOurs,  // not a fault on far memory: chain to the program's own handler
};

// How objects of a list are laid out: tiara_follow in runtime/include/tiara/tiara.h.
struct LinkLayout {
  uint64_t object_bytes = 0;
  uint64_t link_offset = 0;  // link_offset + 8 <= object_bytes
  uint32_t hops = 0;         // 1 to kMostLinkHops
};
inline constexpr uint32_t kMostLinkHops = 32;

enum class DeliveryMode : uint8_t { kMessage, kSignal, kHybrid };
const char* to_string(DeliveryMode mode);

class FarMemory {
 public:
  // Opens userfaultfd and connects to the node, nothing more: what needs privileges that the program may be about
  // to drop. Idempotent; start() calls it if nobody did.
  static Result<void> acquire_privileged(const Config& config);

  // In a forked child, when nothing was started: what acquire_privileged() got is the parent's (a userfaultfd belongs
  // to the address space that opened it). start() gets its own.
  static void forget_acquired_in_child() noexcept;

  // Reserves the address range, creates the address space on the node, starts the threads of the chosen mode.
  // Thread-safe and idempotent; a few milliseconds. `stats` is borrowed for ever.
  static Result<FarMemory*> start(const Config& config, stats::ProcessStats& stats);
  // The started instance or nullptr; a plain load.
  static FarMemory* instance() noexcept;

  // --- address range (thread-safe; may take a lock that the fault path never takes) ---

  bool contains(const void* address) const noexcept {
    return reinterpret_cast<uintptr_t>(address) - base_ < size_;
  }
  std::span<std::byte> reservation() const noexcept;
  // Readable, writable, all zeros; `alignment` is a power of two of at least kPageSize. nullptr when the
  // reservation or the node's page numbers are exhausted.
  std::byte* map(size_t size, size_t alignment) noexcept;
  // Gives pages back: contents are dropped here and on the node, a later access is a segmentation fault.
  void unmap(std::span<std::byte> pages) noexcept;
  // MADV_DONTNEED: contents are dropped here and on the node, a later access reads zeros.
  void discard(std::span<std::byte> pages) noexcept;
  // mprotect(2) over far pages; returns 0 or -errno.
  int protect(std::span<std::byte> pages, int protection) noexcept;
  // mlock(2) and friends: fetches the pages and never evicts them (until released).
  void make_near(std::span<std::byte> pages) noexcept;
  void release_near(std::span<std::byte> pages) noexcept;
  // Objects of a list lie in `objects`: fetching one follows their links on the node. False: no room for the rule.
  [[nodiscard]] bool follow_links(std::span<const std::byte> objects, LinkLayout layout) noexcept;
  void forget_links(std::span<const std::byte> objects) noexcept;
  // The program maps something of its own over the range (MAP_FIXED): drops the pages, forgets the range until
  // reclaim_foreign() puts fresh far memory there. Call surrender before the program's system call.
  void surrender(std::span<std::byte> pages) noexcept;
  void reclaim_foreign(std::span<std::byte> pages) noexcept;

  // --- system calls in signal mode: the kernel must not meet a missing page ---

  // Who must not meet a missing page: a system call (signal mode; in the others it waits for the page), or code that
  // runs with every signal blocked (signal and hybrid mode).
  enum class PinFor : uint8_t { kKernel, kBlockedSignals };

  // While a Pin lives, its pages are resident and stay so, in the modes that need it. Pins nest; they belong to the
  // calling thread; they are async-signal-safe. A pin outside far memory costs a compare.
  class Pin {
   public:
    Pin(const void* address, size_t length, PinFor reader = PinFor::kKernel) noexcept;
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
   private:
    uint32_t slot_;
  };
  // With a pin on them: are these bytes here, and may this process read them (no mprotect, no mapping of its own)?
  bool can_read(const void* address, size_t length) const noexcept;
  // True when kernel-mode accesses need pins (signal mode).
  bool kernel_accesses_need_pins() const noexcept { return needs_pins(PinFor::kKernel); }

  // The program opens a device, or sets up asynchronous I/O, that may write to its memory between its system calls.
  // May be called before start(); async-signal-safe.
  static void expect_device_access() noexcept;

  // --- faults ---

  DeliveryMode mode() const noexcept { return mode_; }
  // Called by the SIGBUS handler; async-signal-safe; errno is preserved. Resolves the fault in this thread.
  FaultVerdict handle_sigbus(const siginfo_t& info) noexcept;
  // Makes this thread ready to take signals (an alternate stack); called at thread start. Near memory only.
  void enter_thread() noexcept;

  // --- fork (run from pthread_atfork handlers) ---

  // Stops evictors at a safe point, has the store copy the address space (--fork clone), lets the child see the range.
  void before_fork() noexcept;
  void after_fork_in_parent() noexcept;
  // True: the child has far memory of its own, on the copy; its statistics are those that `claim_stats` gives. False:
  // it keeps what was resident, new memory is near, and a page that is away is the parent's alone: touching it ends
  // the child with one line and kExitForked.
  bool after_fork_in_child(stats::ProcessStats& (*claim_stats)()) noexcept;

  // The process is about to end in an orderly way: its node need not keep its pages for it to come back. Pages can be
  // had until the end. Nothing in a process that shares this one's memory or connection (vfork, --fork near).
  void let_go() noexcept;

  // Descriptors that the program must not close or replace.
  std::vector<int> descriptors() const;

 private:
  FarMemory() = default;
  bool needs_pins(PinFor reader) const noexcept {
    return mode_ == DeliveryMode::kSignal || (mode_ == DeliveryMode::kHybrid && reader == PinFor::kBlockedSignals);
  }
  uintptr_t base_ = 0;
  size_t size_ = 0;
  DeliveryMode mode_ = DeliveryMode::kMessage;
  struct State;
  void become_watcher(bool was_pager) noexcept;
  State* state_ = nullptr;
};

}  // namespace tiara
