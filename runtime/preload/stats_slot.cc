#include "runtime/preload/stats_slot.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/os/clock.h"
#include "runtime/os/memory.h"
#include "runtime/os/unique_fd.h"

namespace tiara::preload {
namespace {

stats::StatsPage* map_page(const std::string& path) noexcept {
  if (path.empty()) return nullptr;
  const UniqueFd file(static_cast<int>(syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDWR | O_CLOEXEC, 0)));
  struct stat status {};
  if (!file.is_open() || syscall(SYS_fstat, file.get(), &status) != 0) return nullptr;
  if (status.st_size < static_cast<off_t>(sizeof(stats::StatsPage))) return nullptr;
  void* mapped = os::raw_mmap(nullptr, sizeof(stats::StatsPage), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* page = static_cast<stats::StatsPage*>(mapped);
  if (page->magic == stats::kStatsMagic && page->size == sizeof(stats::StatsPage)) return page;
  os::raw_munmap(mapped, sizeof(stats::StatsPage));
  return nullptr;
}

constinit stats::StatsPage* shared_page = nullptr;

stats::ProcessStats* claim(stats::StatsPage& page) noexcept {
  page.processes_started.fetch_add(1, std::memory_order_relaxed);
  for (stats::ProcessStats& slot : page.processes) {
    auto unused = static_cast<uint32_t>(stats::ProcessState::kUnused);
    if (slot.state.compare_exchange_strong(unused, static_cast<uint32_t>(stats::ProcessState::kRunning),
                                           std::memory_order_acq_rel))
      return &slot;
  }
  return nullptr;
}

stats::ProcessStats& private_slot() noexcept {
  static constinit stats::ProcessStats slot{};
  slot.state.store(static_cast<uint32_t>(stats::ProcessState::kRunning), std::memory_order_relaxed);
  return slot;
}

// The name as `ps` shows it, from the kernel: argv may be anything by now.
void read_command(char (&command)[32]) noexcept {
  const UniqueFd file(static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC, 0)));
  const long length = file.is_open() ? syscall(SYS_read, file.get(), command, sizeof command - 1) : 0;
  command[std::max<long>(0, length - 1)] = 0;  // without the newline
}

}  // namespace

void open_stats_page(const std::string& path) noexcept {
  if (shared_page == nullptr) shared_page = map_page(path);
}

stats::ProcessStats& claim_stats_slot(const std::string& path, const std::string& node) noexcept {
  open_stats_page(path);
  stats::ProcessStats* claimed = shared_page != nullptr ? claim(*shared_page) : nullptr;
  stats::ProcessStats& slot = claimed != nullptr ? *claimed : private_slot();
  read_command(slot.command);
  const size_t length = std::min(node.size(), sizeof slot.node - 1);
  memcpy(slot.node, node.data(), length);
  slot.node[length] = 0;
  slot.started_ns.store(static_cast<uint64_t>(os::monotonic_now().count()), std::memory_order_relaxed);
  slot.pid.store(static_cast<int32_t>(getpid()), std::memory_order_release);
  return slot;
}

}  // namespace tiara::preload
