#include "runtime/residency/keeper.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault-handler/service_thread.h"
#include "fault-handler/stop.h"
#include "runtime/base/exit_status.h"

namespace tiara::residency {
namespace {

using namespace std::chrono_literals;

// Near memory can outgrow the budget for this long before far memory makes room; a look costs about 10 us.
constexpr std::chrono::nanoseconds kMeasurePeriod = 20ms;
// Counting the backed pages of the sparse arrays takes milliseconds, so not with every look.
constexpr int kLooksPerMetadataCount = 50;
// Chaos: several thousand pages a second, and room for the program to make progress between.
constexpr std::chrono::nanoseconds kChaosPause = 100us;
// How long the service thread may oversleep a lost wake-up.
constexpr std::chrono::nanoseconds kServiceBound = 100ms;

void sleep_for(std::chrono::nanoseconds duration) {
  const timespec time{0, static_cast<long>(duration.count())};
  syscall(SYS_nanosleep, &time, nullptr);
}

// The number after `name` in /proc/self/status; 0 when it is not there.
uint64_t field_of(const char* status, const char* name) {
  const char* at = strstr(status, name);
  if (at == nullptr) return 0;
  at += strlen(name);
  while (*at == ' ' || *at == '\t') ++at;
  uint64_t value = 0;
  while (*at >= '0' && *at <= '9') value = value * 10 + static_cast<uint64_t>(*at++ - '0');
  return value;
}

}  // namespace

Result<void> Keeper::start(std::span<const int> descriptors, uint64_t chaos_seed, PageCount (*mapped)(void*),
                           void* context) {
  mapped_ = mapped;
  context_ = context;
  chaos_state_ = chaos_seed;
  proc_status_ = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC));
  size_t count = 0;
  const auto watch = [&](int descriptor) {
    struct stat status {};
    if (count == watched_.size() || descriptor < 0 || fstat(descriptor, &status) != 0) return;
    watched_[count++] = {descriptor, status.st_dev, status.st_ino};
  };
  watch(proc_status_);
  for (const int descriptor : descriptors) watch(descriptor);
  measure();
  TIARA_TRY_VOID(fault::spawn_service_thread("tiara-keeper", run_keeper, this));
  if (pager_.needs_service_thread()) TIARA_TRY_VOID(fault::spawn_service_thread("tiara-evict", run_service, this));
  if (chaos_seed != 0) TIARA_TRY_VOID(fault::spawn_service_thread("tiara-chaos", run_chaos, this));
  return {};
}

void Keeper::measure() noexcept {
  char text[4096];
  const long got = proc_status_ < 0 ? -1 : syscall(SYS_pread64, proc_status_, text, sizeof text - 1, 0);
  if (got <= 0) return;
  text[got] = 0;
  const uint64_t anonymous = field_of(text, "RssAnon:") * kKiB;
  const stats::Counters& counters = pager_.parts().counters();
  const uint64_t far_pages_here = counters.resident_pages.load(std::memory_order_relaxed) +
                                  counters.staged_pages.load(std::memory_order_relaxed);
  const uint64_t far_bytes_here = far_pages_here << kPageShift;
  const Bytes near_memory{anonymous > far_bytes_here ? anonymous - far_bytes_here : 0};
  pager_.budget().measured(near_memory, static_cast<uint32_t>(std::max<uint64_t>(field_of(text, "Threads:"), 1)));
}

void Keeper::check_descriptors() noexcept {
  for (const Watched& watched : watched_) {
    if (watched.descriptor < 0) continue;
    struct stat status {};
    if (fstat(watched.descriptor, &status) == 0 && status.st_dev == watched.device && status.st_ino == watched.inode)
      continue;
    fault::stop_process(pager_.parts().stats, kExitOsError,
                        "the program closed or replaced a descriptor that far memory depends on",
                        "keep it from closing descriptors it did not open, or run it without tiara");
  }
}

void Keeper::run_keeper(void* raw) {
  auto& self = *static_cast<Keeper*>(raw);
  for (int look = 0; !self.is_stopping_.load(std::memory_order_relaxed); ++look) {
    self.measure();
    self.check_descriptors();
    if (look % kLooksPerMetadataCount == 0 && self.keep_house_ != nullptr) self.keep_house_(self.house_);
    if (look % kLooksPerMetadataCount == 0)
      self.pager_.parts().counters().metadata_bytes.store(self.pager_.metadata().value, std::memory_order_relaxed);
    // A budget that shrank because near memory grew takes effect even if nothing faults.
    self.pager_.settle();
    sleep_for(kMeasurePeriod);
  }
}

void Keeper::run_service(void* raw) {
  auto& self = *static_cast<Keeper*>(raw);
  while (!self.is_stopping_.load(std::memory_order_relaxed)) {
    self.pager_.wait_for_work(kServiceBound);
    self.pager_.serve_once();
  }
}

void Keeper::run_chaos(void* raw) {
  auto& self = *static_cast<Keeper*>(raw);
  while (!self.is_stopping_.load(std::memory_order_relaxed)) {
    // splitmix64: the seed replays the choices, not the timing.
    self.chaos_state_ += 0x9E3779B97F4A7C15u;
    uint64_t random = self.chaos_state_;
    random = (random ^ (random >> 30)) * 0xBF58476D1CE4E5B9u;
    random = (random ^ (random >> 27)) * 0x94D049BB133111EBu;
    random ^= random >> 31;
    self.pager_.take_away_at_random(random, self.mapped_(self.context_));
    sleep_for(kChaosPause);
  }
}

}  // namespace tiara::residency
