#include "runtime/placement/heap.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <pthread.h>
#include <sched.h>

#include "runtime/base/check.h"
#include "runtime/base/units.h"
#include "runtime/placement/caller_ranges.h"
#include "runtime/placement/far_arenas.h"
#include "runtime/placement/jemalloc.h"
#include "runtime/residency/far_memory.h"

// Read by jemalloc when it initialises. One automatic arena: arena 0 is "near". No arena of its own for huge blocks:
// they would escape it. A wrong word here must not pass silently.
const char* je_malloc_conf =
    "abort_conf:true,narenas:1,oversize_threshold:0,percpu_arena:disabled,background_thread:false,"
    "dirty_decay_ms:5000,muzzy_decay_ms:0";

namespace tiara::placement::heap {
namespace {

// A thread looks at the process's demand each time it has allocated this much: often enough for a threshold of a
// few MiB, seldom enough not to be felt.
constexpr size_t kDemandGranularity = 64 * kKiB;

struct ThreadHeap {
  Phase bound = Phase::kNear;  // what the automatic thread cache belongs to; kNear also before the first decision
  bool is_busy = false;        // inside one of our own calls of jemalloc's control interface, or the start
  bool is_exiting = false;     // the near cache is gone; do without
  unsigned near_cache = 0;     // index + 1 of the explicit cache for near blocks; 0 = none yet
  size_t since_check = 0;
};
constinit thread_local ThreadHeap this_thread;

// Set before kWaiting is published; read-only afterwards. Leaked on purpose: threads allocate until exit_group.
struct Settings {
  Rules rules;
  CallerRanges system_code;
  CallerRanges near_callers;
  size_t threshold = SIZE_MAX;
  void (*start)() = nullptr;
  const size_t* near_active_pages = nullptr;  // jemalloc's own counter of arena 0
};
constinit Settings* settings = nullptr;

constinit std::atomic<Phase> current_phase{Phase::kNear};
constinit std::atomic<bool> is_starting{false};
constinit std::atomic<ptrdiff_t> mapped_bytes{0};
constinit pthread_key_t exit_key;
constinit bool has_exit_key = false;

bool is_far(const void* block) noexcept {
  const FarMemory* far = FarMemory::instance();
  return far != nullptr && far->contains(block);
}

constexpr int kNearArena = MALLOCX_ARENA(0);

class Busy {
 public:
  explicit Busy(ThreadHeap& heap) noexcept : heap_(heap), was_(heap.is_busy) { heap.is_busy = true; }
  ~Busy() { heap_.is_busy = was_; }

 private:
  ThreadHeap& heap_;
  bool was_;
};

void thread_exits(void*) noexcept {
  ThreadHeap& heap = this_thread;
  heap.is_exiting = true;
  if (heap.near_cache == 0) return;
  unsigned cache = heap.near_cache - 1;
  heap.near_cache = 0;
  je_mallctl("tcache.destroy", nullptr, nullptr, &cache, sizeof cache);
}

// Flags for near blocks in a thread whose automatic cache is far.
int near_cache_flags(ThreadHeap& heap) noexcept {
  if (heap.near_cache != 0) [[likely]] return MALLOCX_TCACHE(static_cast<int>(heap.near_cache - 1));
  if (heap.is_busy || heap.is_exiting || !has_exit_key) return MALLOCX_TCACHE_NONE;
  Busy busy(heap);
  unsigned cache = 0;
  size_t size = sizeof cache;
  if (je_mallctl("tcache.create", &cache, &size, nullptr, 0) != 0 ||
      pthread_setspecific(exit_key, &this_thread) != 0) {
    heap.is_exiting = true;
    return MALLOCX_TCACHE_NONE;
  }
  heap.near_cache = cache + 1;
  return MALLOCX_TCACHE(static_cast<int>(cache));
}

void bind_thread(ThreadHeap& heap, Phase phase, unsigned arena) noexcept {
  Busy busy(heap);
  je_mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
  je_mallctl("thread.arena", nullptr, nullptr, &arena, sizeof arena);
  heap.bound = phase;
}

size_t near_demand() noexcept {
  const size_t mapped = static_cast<size_t>(std::max<ptrdiff_t>(0, mapped_bytes.load(std::memory_order_relaxed)));
  const size_t* active = settings->near_active_pages;
  return mapped + (active != nullptr ? __atomic_load_n(active, __ATOMIC_RELAXED) * kPageSize : 0);
}

void start_if_needed(ThreadHeap& heap, size_t coming) noexcept {
  if (near_demand() + coming < settings->threshold) return;
  if (is_starting.exchange(true, std::memory_order_acq_rel)) return;  // another thread is at it: go on near
  {
    Busy busy(heap);
    settings->start();
  }
  is_starting.store(false, std::memory_order_release);
}

enum class Place : uint8_t { kAutomatic, kNear };

bool rules_say_near(size_t size, const void* caller, Zeroed zeroed) noexcept {
  const Settings& now = *settings;
  if (size < now.rules.near_below || size >= now.rules.near_from) return true;
  if (zeroed == Zeroed::kYes && size >= now.rules.near_calloc_from) return true;
  return (size < kNearForSystemCode && now.system_code.contains(caller)) || now.near_callers.contains(caller);
}

[[gnu::noinline]] Place place_slow(ThreadHeap& heap, size_t size, const void* caller, Zeroed zeroed) noexcept {
  Phase phase = current_phase.load(std::memory_order_acquire);  // pairs with the stores of the switch_ functions
  if (phase == Phase::kNear || heap.is_busy) return Place::kAutomatic;
  const bool stays_near = rules_say_near(size, caller, zeroed);
  if (phase == Phase::kWaiting) {
    heap.since_check += size;
    if (stays_near || heap.since_check < kDemandGranularity) return Place::kAutomatic;
    heap.since_check = 0;
    start_if_needed(heap, size);
    phase = current_phase.load(std::memory_order_acquire);
    if (phase != Phase::kFar) return Place::kAutomatic;
  }
  bind_thread(heap, Phase::kFar, far_arenas::assign());
  return stays_near ? Place::kNear : Place::kAutomatic;
}

Place place(size_t size, const void* caller, Zeroed zeroed) noexcept {
  ThreadHeap& heap = this_thread;
  if (heap.bound != Phase::kFar) [[unlikely]] return place_slow(heap, size, caller, zeroed);
  return rules_say_near(size, caller, zeroed) ? Place::kNear : Place::kAutomatic;
}

// Flags that make a near block in this thread; 0 when its automatic cache is near anyway.
int near_flags(ThreadHeap& heap) noexcept {
  return heap.bound == Phase::kFar ? kNearArena | near_cache_flags(heap) : 0;
}

void* near_block(size_t size, int more_flags) noexcept {
  void* block = je_mallocx(std::max<size_t>(size, 1), near_flags(this_thread) | more_flags);
  if (block == nullptr) errno = ENOMEM;
  return block;
}

int alignment_flag(size_t alignment) noexcept { return MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)); }

// Makes sure that this thread's automatic cache is far; false in a forked child, where none is.
bool is_bound_far(ThreadHeap& heap) noexcept {
  if (heap.bound == Phase::kFar) [[likely]] return true;
  if (current_phase.load(std::memory_order_acquire) != Phase::kFar || heap.is_busy) return false;
  bind_thread(heap, Phase::kFar, far_arenas::assign());
  return true;
}

void* move_block(void* block, size_t old_size, void* to, size_t new_size) noexcept {
  if (to == nullptr) return nullptr;
  memcpy(to, block, std::min(old_size, new_size));
  release(block);
  return to;
}

}  // namespace

void wait_for_demand(Rules rules, size_t threshold, void (*start)()) noexcept {
  settings = new (je_mallocx(sizeof(Settings), MALLOCX_LG_ALIGN(6) | MALLOCX_ZERO)) Settings;
  settings->rules = std::move(rules);
  settings->threshold = threshold;
  settings->start = start;
  size_t* active = nullptr;
  size_t size = sizeof active;
  if (je_mallctl("experimental.arenas.0.pactivep", &active, &size, nullptr, 0) == 0)
    settings->near_active_pages = active;
  refresh_callers();
  current_phase.store(Phase::kWaiting, std::memory_order_release);
}

void refresh_callers() noexcept {
  if (settings == nullptr) return;
  for (const std::string_view name : kSystemCode) settings->system_code.add_loaded(name);
  for (const std::string& name : settings->rules.near_callers) settings->near_callers.add_loaded(name);
}

bool switch_to_far() noexcept {
  TIARA_CHECK(current_phase.load(std::memory_order_relaxed) == Phase::kWaiting);
  cpu_set_t cpus;
  const int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  if (!far_arenas::create(static_cast<unsigned>(count))) return false;
  has_exit_key = pthread_key_create(&exit_key, thread_exits) == 0;
  current_phase.store(Phase::kFar, std::memory_order_release);
  return true;
}

void switch_to_near() noexcept {
  far_arenas::freeze();
  current_phase.store(Phase::kNear, std::memory_order_release);
  if (this_thread.bound == Phase::kFar) bind_thread(this_thread, Phase::kNear, 0);
  is_starting.store(false, std::memory_order_relaxed);
}

Phase phase() noexcept { return current_phase.load(std::memory_order_acquire); }

void note_near_mapping(ptrdiff_t bytes) noexcept {
  if (settings == nullptr) return;
  mapped_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (bytes > 0 && phase() == Phase::kWaiting && !this_thread.is_busy) start_if_needed(this_thread, 0);
}

bool mapping_stays_near(size_t size, const void* caller) noexcept {
  return settings == nullptr || size >= settings->rules.near_mmap_from || settings->near_callers.contains(caller) ||
         settings->system_code.contains(caller);
}

void* allocate(size_t size, const void* caller) noexcept {
  if (place(size, caller, Zeroed::kNo) == Place::kAutomatic) [[likely]] return je_malloc(size);
  return near_block(size, 0);
}

void* allocate_zeroed(size_t count, size_t size, const void* caller) noexcept {
  size_t total = 0;
  if (__builtin_mul_overflow(count, size, &total)) {
    errno = ENOMEM;
    return nullptr;
  }
  if (place(total, caller, Zeroed::kYes) == Place::kAutomatic) [[likely]] return je_calloc(1, total);
  return near_block(total, MALLOCX_ZERO);
}

void* allocate_aligned(size_t alignment, size_t size, const void* caller) noexcept {
  const int more = alignment_flag(alignment);
  if (place(size, caller, Zeroed::kNo) == Place::kNear) return near_block(size, more);
  void* block = je_mallocx(std::max<size_t>(size, 1), more);
  if (block == nullptr) errno = ENOMEM;
  return block;
}

void* reallocate(void* block, size_t size, const void* caller) noexcept {
  if (block == nullptr) return allocate(size, caller);
  if (size == 0) {  // as glibc has it
    release(block);
    return nullptr;
  }
  if (is_far(block)) {
    if (is_bound_far(this_thread)) [[likely]] return je_realloc(block, size);
    return move_block(block, je_sallocx(block, 0), allocate_near(size), size);
  }
  if (place(size, caller, Zeroed::kNo) == Place::kNear || this_thread.bound != Phase::kFar)
    return reallocate_near(block, size);
  // A near block that grows or shrinks after the switch moves out, unless it can stay as it is.
  const size_t usable = je_sallocx(block, 0);
  if (je_nallocx(size, 0) == usable) return block;
  return move_block(block, usable, je_malloc(size), size);
}

void release(void* block) noexcept {
  if (block == nullptr) return;
  ThreadHeap& heap = this_thread;
  if (is_far(block)) {
    if (is_bound_far(heap)) [[likely]] return je_free(block);
    return je_dallocx(block, MALLOCX_TCACHE_NONE);
  }
  if (heap.bound == Phase::kFar) return je_dallocx(block, near_cache_flags(heap));
  je_free(block);
}

size_t usable_size(const void* block) noexcept { return block == nullptr ? 0 : je_sallocx(block, 0); }

void* allocate_near(size_t size) noexcept { return near_block(size, 0); }

void* allocate_near_zeroed(size_t count, size_t size) noexcept {
  size_t total = 0;
  if (!__builtin_mul_overflow(count, size, &total)) return near_block(total, MALLOCX_ZERO);
  errno = ENOMEM;
  return nullptr;
}

void* allocate_near_aligned(size_t alignment, size_t size) noexcept {
  return near_block(size, alignment_flag(alignment));
}

void* reallocate_near(void* block, size_t size) noexcept {
  if (block == nullptr) return allocate_near(size);
  void* moved = je_rallocx(block, std::max<size_t>(size, 1), near_flags(this_thread));
  if (moved == nullptr) errno = ENOMEM;
  return moved;
}

}  // namespace tiara::placement::heap
