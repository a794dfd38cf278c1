#include "runtime/residency/far_memory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault-handler/delivery_signal.h"
#include "fault-handler/service_thread.h"
#include "runtime/base/check.h"
#include "runtime/base/log.h"
#include "runtime/base/stats.h"
#include "runtime/os/clock.h"
#include "runtime/residency/far_space.h"
#include "runtime/residency/forked_child.h"
#include "runtime/residency/near_object.h"
#include "runtime/residency/store.h"

namespace tiara {
namespace {

using residency::FarSpace;
using residency::Lock;
using residency::Locked;

// What acquire_privileged() got, until start() uses it. Static storage: the process has one far memory.
struct Acquired {
  residency::KernelChoice choice;
  std::optional<residency::KernelAccess> kernel;
  std::unique_ptr<residency::StoreConnection> connection;
  residency::PageTrace trace;
};
constinit Lock start_lock;
constinit std::atomic<FarMemory*> started{nullptr};
constinit std::atomic<bool> expects_devices{false};
// This thread makes the connection to the store. A device that it opens for that is told of no page of the program.
constinit thread_local bool is_connecting = false;

// Never destroyed: the process may still be paging while its destructors run.
Acquired& acquired() {
  alignas(Acquired) static std::byte storage[sizeof(Acquired)];
  static Acquired* const object = new (storage) Acquired;
  return *object;
}

Result<void> acquire_locked(const Config& config) {
  Acquired& mine = acquired();
  if (mine.connection) return {};
  TIARA_TRY(mine.choice, residency::choose_for_kernel(config));
  TIARA_TRY(residency::KernelAccess kernel, residency::open_for(mine.choice));
  if (!config.trace_path.empty()) {
    TIARA_TRY(mine.trace, residency::PageTrace::open(config.trace_path));
  }
  is_connecting = true;
  auto connection = residency::make_store(config);
  is_connecting = false;
  TIARA_TRY(mine.connection, std::move(connection));
  mine.kernel.emplace(std::move(kernel));
  return {};
}

void copy_text(char* to, size_t room, std::string_view text) {
  const size_t length = std::min(room - 1, text.size());
  std::copy_n(text.data(), length, to);
  to[length] = 0;
}

DeliveryMode mode_of(fault::Delivery delivery) {
  switch (delivery) {
    case fault::Delivery::kMessage: return DeliveryMode::kMessage;
    case fault::Delivery::kSignal: return DeliveryMode::kSignal;
    case fault::Delivery::kHybrid: return DeliveryMode::kHybrid;
  }
  return DeliveryMode::kMessage;
}

constexpr uint32_t kNoSlot = UINT32_MAX;
constexpr size_t kMaxDescriptors = 16;

}  // namespace

const char* to_string(DeliveryMode mode) {
  switch (mode) {
    case DeliveryMode::kMessage: return "message";
    case DeliveryMode::kSignal: return "signal";
    case DeliveryMode::kHybrid: return "hybrid";
  }
  return "unknown";
}

enum class Role : uint8_t {
  kPager,         // the process that started far memory
  kForkedChild,   // a child of it: see forked_child.h
};

struct FarMemory::State {
  FarSpace* space = nullptr;
  Role role = Role::kPager;
  const Config* config = nullptr;  // a copy that lives for ever
  bool was_anything_away = false;  // between before_fork and its end
  bool has_clone = false;          // likewise: the store made a copy for the child
  pid_t owner = 0;                 // the process whose connection to the store this is
  std::array<int, kMaxDescriptors> descriptors{};
  size_t descriptor_count = 0;
  residency::ForkedChild child;
  // What after_fork_* restores. While a fork is under way a handler could map memory and wait for the lock for ever.
  uint64_t fork_mask = 0;
  std::span<const int> all_descriptors() const { return {descriptors.data(), descriptor_count}; }

  // Threads, and the descriptors that the program must not close.
  Result<void> set_going(residency::StoreConnection& connection);
  // In a forked child: a pager of its own on the copy that the store made. An error changes nothing that the child
  // needs to fail closed.
  Result<void> become_pager(stats::ProcessStats& own);
};

Result<void> FarMemory::State::set_going(residency::StoreConnection& connection) {
  descriptor_count = 0;
  owner = getpid();
  const auto remember = [&](int descriptor) {
    if (descriptor >= 0 && descriptor_count < kMaxDescriptors) descriptors[descriptor_count++] = descriptor;
  };
  remember(space->uffd().descriptor());
  remember(space->kernel().pagemap.descriptor());
  for (const int descriptor : connection.descriptors()) remember(descriptor);
  const auto keep_house = [](void* of) { static_cast<residency::StoreConnection*>(of)->keep_house(); };
  TIARA_TRY_VOID(space->start_threads(*config, all_descriptors(), {keep_house, &connection}));
  remember(space->keeper_descriptor());
  return {};
}

Result<void> FarMemory::State::become_pager(stats::ProcessStats& own) {
  std::unique_ptr<residency::StoreConnection>& connection = acquired().connection;
  TIARA_TRY(residency::KernelAccess kernel, residency::open_for(space->choice()));
  TIARA_TRY(auto connected, connection->connect_in_child());
  TIARA_TRY(FarSpace* inherited, FarSpace::inherit(*space, *config, std::move(kernel), connected->store(), own));
  // The parent's connection is neither closed nor destroyed here: what it speaks to is the parent's.
  (void)connection.release();
  connection = std::move(connected);
  space = inherited;
  return set_going(*connection);
}

Result<void> FarMemory::acquire_privileged(const Config& config) {
  start_lock.acquire();
  auto result = acquire_locked(config);
  start_lock.release();
  return result;
}

void FarMemory::forget_acquired_in_child() noexcept {
  Acquired& parents = acquired();
  if (!parents.connection) return;
  // Raw closes, and neither is destroyed: what the connection speaks to is the parent's.
  for (const int descriptor : parents.connection->descriptors()) syscall(SYS_close, descriptor);
  if (parents.kernel) {
    syscall(SYS_close, parents.kernel->uffd.descriptor());
    if (parents.kernel->pagemap.descriptor() >= 0) syscall(SYS_close, parents.kernel->pagemap.descriptor());
    parents.kernel->forget();
  }
  parents.kernel.reset();
  (void)parents.connection.release();
}

void FarMemory::expect_device_access() noexcept {
  if (is_connecting) return;
  // Sequentially consistent, as the store of `started` and the look after it: one of the two tells the space.
  expects_devices.store(true, std::memory_order_seq_cst);
  if (FarMemory* memory = started.load(std::memory_order_seq_cst)) memory->state_->space->expect_device_access();
}

FarMemory* FarMemory::instance() noexcept { return started.load(std::memory_order_acquire); }

Result<FarMemory*> FarMemory::start(const Config& config, stats::ProcessStats& stats) {
  if (FarMemory* running = instance()) return running;
  struct Release {
    ~Release() { start_lock.release(); }
  };
  start_lock.acquire();
  const Release release_lock;
  if (FarMemory* running = instance()) return running;
  TIARA_TRY_VOID(acquire_locked(config));
  Acquired& mine = acquired();
  copy_text(stats.node, sizeof stats.node, config.node);
  copy_text(stats.mode, sizeof stats.mode, to_string(mode_of(mine.choice.delivery)));
  if (stats.started_ns.load() == 0) stats.started_ns.store(static_cast<uint64_t>(os::monotonic_now().count()));
  stats.state.store(static_cast<uint32_t>(stats::ProcessState::kRunning), std::memory_order_relaxed);
  TIARA_TRY(State* state, residency::make_near_object<State>());
  TIARA_TRY(state->space, FarSpace::create(config, mine.choice, std::move(*mine.kernel), mine.connection->store(),
                                           mine.connection->max_pages(), stats));
  state->config = new Config(config);
  state->space->pager().record_arrivals(std::move(mine.trace));
  TIARA_TRY_VOID(state->set_going(*mine.connection));
  // FarMemory has a private constructor, so the object is made here rather than by make_near_object.
  alignas(FarMemory) static std::byte storage[sizeof(FarMemory)];
  auto* memory = new (storage) FarMemory;
  memory->state_ = state;
  memory->base_ = reinterpret_cast<uintptr_t>(state->space->reservation().data());
  memory->size_ = state->space->reservation().size();
  memory->mode_ = mode_of(mine.choice.delivery);
  // Pairs with instance() and with expect_device_access().
  started.store(memory, std::memory_order_seq_cst);
  if (expects_devices.load(std::memory_order_seq_cst)) state->space->expect_device_access();
  return memory;
}

std::span<std::byte> FarMemory::reservation() const noexcept { return state_->space->reservation(); }

std::byte* FarMemory::map(size_t size, size_t alignment) noexcept {
  // New memory of a child is near.
  return state_->role == Role::kPager ? state_->space->map(size, alignment) : nullptr;
}

void FarMemory::unmap(std::span<std::byte> pages) noexcept {
  if (state_->role == Role::kPager) return state_->space->unmap(pages);
  state_->child.give_up(state_->space->pages_of(pages.data(), pages.size()), PROT_NONE);
}

void FarMemory::discard(std::span<std::byte> pages) noexcept {
  if (state_->role == Role::kPager) return state_->space->discard(pages);
  state_->child.discard(state_->space->pages_of(pages.data(), pages.size()));
}

int FarMemory::protect(std::span<std::byte> pages, int protection) noexcept {
  if (state_->role == Role::kPager) return state_->space->protect(pages, protection);
  return os::raw_mprotect(pages.data(), pages.size(), protection);
}

void FarMemory::make_near(std::span<std::byte> pages) noexcept {
  if (state_->role == Role::kPager) state_->space->make_near(pages);
}

void FarMemory::release_near(std::span<std::byte> pages) noexcept {
  if (state_->role == Role::kPager) state_->space->release_near(pages);
}

bool FarMemory::follow_links(std::span<const std::byte> objects, LinkLayout layout) noexcept {
  static_assert(kMostLinkHops == fault::ChaseRules::kMostHops);
  if (state_->role != Role::kPager) return true;  // nothing of a watching child is ever fetched
  return state_->space->follow_links(objects, layout);
}

void FarMemory::forget_links(std::span<const std::byte> objects) noexcept {
  if (state_->role == Role::kPager) state_->space->forget_links(objects);
}

void FarMemory::surrender(std::span<std::byte> pages) noexcept {
  if (state_->role == Role::kPager) return state_->space->surrender(pages);
  state_->child.discard(state_->space->pages_of(pages.data(), pages.size()));
}

void FarMemory::reclaim_foreign(std::span<std::byte> pages) noexcept {
  if (state_->role == Role::kPager) return state_->space->reclaim_foreign(pages);
  (void)os::raw_mmap(pages.data(), pages.size(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

FarMemory::Pin::Pin(const void* address, size_t length, PinFor reader) noexcept : slot_(kNoSlot) {
  FarMemory* memory = instance();
  if (memory == nullptr || length == 0 || !memory->needs_pins(reader)) return;
  const PageRange range = memory->state_->space->pages_of(address, length);
  if (range.count.value == 0) return;
  const int saved = errno;
  if (memory->state_->role == Role::kPager) {
    slot_ = memory->state_->space->pin(range).value;
  } else {
    const fault::SignalsBlocked blocked;
    memory->state_->child.bring_in(range);
  }
  errno = saved;
}

FarMemory::Pin::~Pin() {
  if (slot_ != kNoSlot) instance()->state_->space->pager().unpin({slot_});
}

bool FarMemory::can_read(const void* address, size_t length) const noexcept {
  if (state_->role != Role::kPager) return false;
  const PageRange range = state_->space->pages_of(address, length);
  return range.count.value != 0 && state_->space->can_read(range);
}

FaultVerdict FarMemory::handle_sigbus(const siginfo_t& info) noexcept {
  FarSpace& space = *state_->space;
  if (state_->role == Role::kPager) {
    const auto verdict = fault::handle_sigbus(space.pager().resolver(), space.reservation().data(),
                                              space.reservation().size(), info);
    return verdict == fault::Verdict::kHandled ? FaultVerdict::kHandled : FaultVerdict::kNotOurs;
  }
  if (info.si_code != BUS_ADRERR || !contains(info.si_addr) || !state_->child.is_watching())
    return FaultVerdict::kNotOurs;
  const int saved = errno;
  const PageRange page = space.pages_of(info.si_addr, 1);
  const fault::Resolution resolution = state_->child.resolve(page.first);
  errno = saved;
  return resolution == fault::Resolution::kMapped ? FaultVerdict::kHandled : FaultVerdict::kNotOurs;
}

void FarMemory::let_go() noexcept {
  if (state_->owner == getpid()) acquired().connection->let_go();
}

void FarMemory::enter_thread() noexcept { state_->space->signal_stacks().enter_thread(); }

void FarMemory::before_fork() noexcept {
  if (state_->role == Role::kForkedChild) return;
  FarSpace& space = *state_->space;
  // A child must find the ranges in order, and no page half-way out.
  const uint64_t mask = fault::block_signals();
  space.lock().acquire();
  state_->fork_mask = mask;  // written under the lock: threads may fork at the same time
  space.pager().hold_still();
  stats::Counters& counters = space.pager().parts().counters();
  state_->was_anything_away = counters.remote_pages.load(std::memory_order_relaxed) != 0;
  stats::bump(state_->was_anything_away ? counters.forks_away : counters.forks_near);
  state_->has_clone = false;
  if (state_->config->fork == ForkMode::kClone) {
    const auto prepared = acquired().connection->prepare_child();
    state_->has_clone = prepared.has_value();
    if (prepared)
      stats::bump(counters.forks_cloned);
    else
      LogLine("a forked child gets no far memory of its own: ").text(prepared.error().message.c_str()).write();
  }
  space.set_inherited(true);
}

void FarMemory::after_fork_in_parent() noexcept {
  if (state_->role == Role::kForkedChild) return;
  state_->space->set_inherited(false);
  if (state_->has_clone) acquired().connection->after_fork_in_parent();
  state_->space->pager().resume();
  const uint64_t mask = state_->fork_mask;
  state_->space->lock().release();
  fault::restore_signals(mask);
}

bool FarMemory::after_fork_in_child(stats::ProcessStats& (*claim_stats)()) noexcept {
  const bool was_pager = state_->role == Role::kPager;
  if (was_pager && state_->has_clone) {
    // Raw closes: these descriptors are guarded against the program's own close(). What the pool of this process lies
    // in is shared, and stays.
    for (const int descriptor : state_->all_descriptors())
      if (!acquired().connection->is_shared_with_child(descriptor)) syscall(SYS_close, descriptor);
    state_->space->kernel().forget();
    state_->descriptor_count = 0;
    const auto became = state_->become_pager(claim_stats());
    if (became) {
      fault::restore_signals(state_->fork_mask);
      return true;
    }
    LogLine("a forked child gets no far memory of its own: ").text(became.error().message.c_str()).write();
  }
  become_watcher(was_pager);
  return false;
}

void FarMemory::become_watcher(bool was_pager) noexcept {
  FarSpace& space = *state_->space;
  space.signal_stacks().after_fork_in_child();
  if (was_pager) {
    state_->role = Role::kForkedChild;
    state_->child.begin(space, state_->was_anything_away, state_->all_descriptors());
    space.lock().release();
    fault::restore_signals(state_->fork_mask);
  } else if (state_->child.is_watching()) {
    // A grandchild: its copy of the range is not watched by its parent's descriptor.
    state_->child.begin(space, true, std::array{space.uffd().descriptor(), space.kernel().pagemap.descriptor()});
  }
  state_->descriptor_count = 0;
  if (state_->child.is_watching())
    for (const int descriptor : {space.uffd().descriptor(), space.kernel().pagemap.descriptor()})
      if (descriptor >= 0) state_->descriptors[state_->descriptor_count++] = descriptor;
  // What is left is plain memory, unless it is watched.
  if (!state_->child.is_watching()) mode_ = DeliveryMode::kMessage;
}

std::vector<int> FarMemory::descriptors() const {
  const auto all = state_->all_descriptors();
  return {all.begin(), all.end()};
}

}  // namespace tiara
