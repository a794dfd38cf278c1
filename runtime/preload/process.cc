#include "runtime/preload/process.h"

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <unistd.h>

#include "runtime/base/exit_status.h"
#include "runtime/base/log.h"
#include "runtime/base/units.h"
#include "runtime/placement/heap.h"
#include "runtime/placement/rules.h"
#include "runtime/preload/alternate_stack.h"
#include "runtime/preload/descriptors.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/mappings.h"
#include "runtime/preload/raw_calls.h"
#include "runtime/preload/real.h"
#include "runtime/preload/signals.h"
#include "runtime/preload/stats_slot.h"
#include "runtime/residency/far_memory.h"

#include <sys/syscall.h>

namespace tiara::preload {
namespace {

// Far memory starts when the program's near memory passes this, or an eighth of the local budget if that is less:
// shells and launchers stay below it and never pay for a start.
constexpr uint64_t kStartThreshold = 4 * kMiB;

constinit const Config* config = nullptr;
constinit stats::ProcessStats* slot = nullptr;

int exit_status_for(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidInput: return kExitUsage;
    case ErrorCode::kNoPermission: return kExitNoPermission;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimedOut:
    case ErrorCode::kNotFound: return kExitUnavailable;
    case ErrorCode::kResourceExhausted: return kExitNodeFull;
    case ErrorCode::kRejected:
    case ErrorCode::kUnsupported:
    case ErrorCode::kSystem: return kExitOsError;
  }
  return kExitOsError;
}

[[noreturn]] void end_process(const char* what, const Error& error) noexcept {
  LogLine("fatal: ").text(what).text(": ").text(error.message.c_str()).write();
  if (slot != nullptr) {
    snprintf(slot->fatal, sizeof slot->fatal, "%s: %s", what, error.message.c_str());
    slot->state.store(static_cast<uint32_t>(stats::ProcessState::kFatal), std::memory_order_release);
  }
  for (;;) syscall(SYS_exit_group, exit_status_for(error.code));
}

// --children near: only the process that `tiara run` started (whatever it executes in its place) has far memory.
bool is_child_without_far_memory(const Config& wanted) {
  constexpr const char* kOwner = "TIARA_OWNER_PID";
  if (wanted.children == Children::kFar) return false;
  char own[16];
  snprintf(own, sizeof own, "%d", getpid());
  const char* owner = getenv(kOwner);
  if (owner != nullptr && *owner != 0) return strcmp(owner, own) != 0;
  setenv(kOwner, own, 1);
  return false;
}

uint64_t start_threshold(const Config& wanted) noexcept {
  return wanted.local.bytes ? std::min(kStartThreshold, wanted.local.bytes->value / 8) : kStartThreshold;
}

void guard_system_calls(const FarMemory& far) noexcept {
  const std::span<std::byte> pages = far.reservation();
  const GuardedRange all{reinterpret_cast<uintptr_t>(pages.data()), pages.size()};
  guarded_range = far.kernel_accesses_need_pins() ? all : GuardedRange{};
  signal_range = far.mode() != DeliveryMode::kMessage ? all : GuardedRange{};
}

}  // namespace

// pthread_atfork handlers: libc runs them for its internal forks (daemon, forkpty) too. Registered after jemalloc's,
// so that ours come first before a fork and last after it: nothing of ours runs under jemalloc's locks.
void before_fork() noexcept {
  lock_mappings();
  if (FarMemory* far = FarMemory::instance(); far != nullptr) far->before_fork();
}

void after_fork_in_parent() noexcept {
  if (FarMemory* far = FarMemory::instance(); far != nullptr) far->after_fork_in_parent();
  unlock_mappings();
}

stats::ProcessStats& claim_own_stats() noexcept {
  stats::ProcessStats& own = claim_stats_slot(config->stats_path, config->node);
  memcpy(own.mode, slot->mode, sizeof own.mode);
  slot = &own;
  return own;
}

void after_fork_in_child() noexcept {
  unlock_mappings();
  FarMemory* far = FarMemory::instance();
  if (far == nullptr) return FarMemory::forget_acquired_in_child();
  if (!far->after_fork_in_child(claim_own_stats)) placement::heap::switch_to_near();
  guard_system_calls(*far);
  protect_descriptors(far->descriptors());
  if (raises_signals()) catch_raw_calls_again();
}

namespace {

[[gnu::constructor]] void load() noexcept {
  if (const char* local = getenv("TIARA_LOCAL"); local == nullptr || *local == 0) return;
  auto wanted = Config::from_environment([](const char* name) -> const char* { return getenv(name); });
  if (!wanted) end_process("cannot use far memory", wanted.error());
  if (is_child_without_far_memory(*wanted)) return;
  auto rules = placement::Rules::parse(wanted->near_rules);
  if (!rules) end_process("cannot use far memory", rules.error());
  const uint64_t threshold = start_threshold(*wanted);
  prepare_alternate_stacks();
  // jemalloc registers its own handlers when it is first used, which must be before ours: see before_fork(). Whether
  // the lines above have allocated depends on how long the values in the environment are.
  placement::heap::release(placement::heap::allocate_near(1));
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  config = new Config(*std::move(wanted));
  placement::heap::wait_for_demand(*std::move(rules), threshold, start_far_memory);
}

}  // namespace

const Config* active_config() noexcept { return config; }
stats::ProcessStats* process_stats() noexcept { return slot; }

void start_far_memory() noexcept {
  if (config == nullptr || FarMemory::instance() != nullptr) return;
  const int saved = errno;
  slot = &claim_stats_slot(config->stats_path, config->node);
  auto started = FarMemory::start(*config, *slot);
  if (!started) end_process("cannot start far memory", started.error());
  FarMemory& far = **started;
  placement::heap::refresh_callers();  // libraries that the connection to the node has loaded
  resolve_all();
  snprintf(slot->mode, sizeof slot->mode, "%s", to_string(far.mode()));
  protect_descriptors(far.descriptors());
  enter_thread();
  if (far.mode() != DeliveryMode::kMessage) {
    take_sigbus();
    catch_raw_calls();
    if (const char* why = why_raw_calls_are_not_caught(); why != nullptr && slot->note[0] == 0)
      snprintf(slot->note, sizeof slot->note, "%s", why);
  }
  copies_short_sends_ = config->copy_sends;
  guard_system_calls(far);
  if (!placement::heap::switch_to_far())
    end_process("cannot start far memory", Error{ErrorCode::kResourceExhausted, "jemalloc has no arena left"});
  errno = saved;
}

void acquire_before_privileges_go() noexcept {
  if (config == nullptr || FarMemory::instance() != nullptr) return;
  if (placement::heap::phase() != placement::heap::Phase::kWaiting) return;
  const int saved = errno;
  open_stats_page(config->stats_path);
  // A failure is told when far memory starts, if it ever does.
  [[maybe_unused]] const auto acquired = FarMemory::acquire_privileged(*config);
  errno = saved;
}

}  // namespace tiara::preload
