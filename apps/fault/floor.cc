#include "apps/fault/floor.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "apps/common/latency.h"
#include "apps/fault/pattern.h"
#include "fault-handler/delivery_signal.h"
#include "runtime/base/config.h"
#include "runtime/os/memory.h"
#include "runtime/residency/far_space.h"

namespace tiara::apps::fault {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kRun = 16 * kPageSize;  // what one step of readahead brings at most

// The handler knows no argument: what it works on stands here.
struct Ground {
  std::optional<tiara::fault::Userfaultfd> uffd;
  os::Mapping region;  // where pages are missing
  os::Mapping source;  // where their bytes are
  bool moves = false;
  // What the cycle keeps: which pages are here, how many, and whose turn it is to leave. Empty: all may stay.
  std::vector<bool> is_here;
  uint64_t here = 0;
  uint64_t next_to_leave = 0;
};
Ground* ground = nullptr;

constexpr uint64_t kHereShare = 4;  // a quarter of the pages is here
constexpr uint64_t kSpans = 32;     // what leaves in one step is one of so many parts of the region

// The cheapest that any pager could do: a span's turn comes, it is frozen and dropped by one call each, and nobody
// looks at the bytes, which are where they came from.
bool make_room() {
  const uint64_t pages = ground->is_here.size();
  while (ground->here > pages / kHereShare) {
    const uint64_t first = ground->next_to_leave;
    const uint64_t count = std::min((pages + kSpans - 1) / kSpans, pages - first);
    ground->next_to_leave = first + count == pages ? 0 : first + count;
    std::byte* const from = ground->region.data() + (first << kPageShift);
    const size_t length = count << kPageShift;
    const auto frozen = ground->uffd->write_protect(from, length, tiara::fault::Protection::kReadOnly);
    if (frozen != tiara::fault::IoStatus::kDone || os::raw_madvise(from, length, MADV_DONTNEED) != 0) return false;
    for (uint64_t page = first; page < first + count; ++page) {
      ground->here -= ground->is_here[page];
      ground->is_here[page] = false;
    }
  }
  return true;
}

void serve(int, siginfo_t* info, void*) {
  const size_t offset = reinterpret_cast<uintptr_t>(info->si_addr) - reinterpret_cast<uintptr_t>(ground->region.data());
  tiara::fault::IoResult result{};
  if (offset < ground->region.size()) {
    const size_t length = ground->moves ? kRun : kPageSize;
    const size_t at = round_down(offset, length);
    std::byte* const to = ground->region.data() + at;
    std::byte* const from = ground->source.data() + at;
    result = ground->moves ? ground->uffd->move(to, from, length, tiara::fault::Holes::kForbidden)
                           : ground->uffd->copy(to, from, length);
    if (result.status == tiara::fault::IoStatus::kDone) {
      if (ground->is_here.empty()) return;
      ground->is_here[offset >> kPageShift] = true;
      ++ground->here;
      if (make_room()) return;
    }
  }
  static const char kText[] = "tiara bench fault: the floor could not serve a fault\n";
  (void)!write(2, kText, sizeof kText - 1);
  _exit(1);
}

Result<void> prepare(const WorkerOptions& options) {
  Config config;
  config.fault = FaultMode::kSignal;
  TIARA_TRY(const residency::KernelChoice choice, residency::choose_for_kernel(config));
  if (choice.delivery != tiara::fault::Delivery::kSignal)
    return fail(ErrorCode::kUnsupported, "no signal delivery here; the floor needs it");
  static Ground storage;
  ground = &storage;
  TIARA_TRY(residency::KernelAccess kernel, residency::open_for(choice));
  ground->uffd.emplace(std::move(kernel.uffd));
  const Bytes size{round_up(options.data.value, kRun)};
  TIARA_TRY(ground->region, os::Mapping::anonymous(size));
  TIARA_TRY(ground->source, os::Mapping::anonymous(size));
  for (const os::Mapping* mapping : {&ground->region, &ground->source})
    (void)os::raw_madvise(mapping->data(), mapping->size(), MADV_NOHUGEPAGE);
  // Filled before it is registered: afterwards its missing pages would be faults of ours too.
  auto* words = reinterpret_cast<uint64_t*>(ground->source.data());
  for (size_t i = 0; i < size.value / sizeof(uint64_t); ++i) words[i] = mix(options.seed ^ i);
  TIARA_TRY_VOID(ground->uffd->register_range(ground->region.span(), choice.has_write_protect));
  if (choice.has_move) TIARA_TRY_VOID(ground->uffd->register_range(ground->source.span(), choice.has_write_protect));
  ground->moves = choice.has_move;
  return tiara::fault::install_sigbus_handler(serve);
}

bool report(const char* name, const LatencyHistogram& all, const LatencyHistogram& misses,
            std::chrono::nanoseconds busy, uint64_t wrong) {
  const auto quantiles = [](const LatencyHistogram& histogram) {
    return nlohmann::json{{"count", histogram.count()},
                          {"p50_ns", histogram.quantile(0.5)},
                          {"p99_ns", histogram.quantile(0.99)},
                          {"p999_ns", histogram.quantile(0.999)},
                          {"mean_ns", histogram.mean()}};
  };
  const double seconds = std::chrono::duration<double>(busy).count();
  const nlohmann::json line = {{"pattern", name},
                               {"threads", 1},
                               {"seconds", seconds},
                               {"accesses_per_second", static_cast<double>(all.count()) / seconds},
                               {"miss", quantiles(misses)},
                               {"access", quantiles(all)}};
  fmt::print("{}\n", line.dump());
  if (wrong != 0) fmt::print(stderr, "tiara bench fault: {} wrong words on the floor\n", wrong);
  return wrong == 0;
}

// Touches every page once, in the order page * step mod pages (step 1: in order), and takes the pages away again,
// until the time is over. Only the touching is timed.
bool measure(const WorkerOptions& options, const char* name, uint64_t step) {
  const uint64_t pages = ground->region.size() >> kPageShift;
  const auto* words = reinterpret_cast<const volatile uint64_t*>(ground->region.data());
  LatencyHistogram all, misses;
  std::chrono::nanoseconds busy{0};
  uint64_t wrong = 0;
  for (const auto end = Clock::now() + options.duration; Clock::now() < end;) {
    const auto pass = Clock::now();
    uint64_t touched = 0;
    for (; touched < pages && (touched % 64 != 0 || Clock::now() < end); ++touched) {
      const uint64_t at = touched * step % pages * (kPageSize / sizeof(uint64_t));
      const auto start = Clock::now();
      const uint64_t seen = words[at];
      const auto took = static_cast<uint64_t>((Clock::now() - start).count());
      all.record(took);
      if (took > static_cast<uint64_t>(kMissAbove.count())) misses.record(took);
      wrong += seen != mix(options.seed ^ at);
    }
    busy += Clock::now() - pass;
    if (!ground->moves) {
      if (os::raw_madvise(ground->region.data(), ground->region.size(), MADV_DONTNEED) != 0) return false;
      continue;
    }
    if (touched == 0) continue;
    // What was moved, no more: a MOVE does not go over pages that are there.
    const size_t moved = round_up(touched << kPageShift, kRun);
    const auto back = ground->uffd->move(ground->source.data(), ground->region.data(), moved,
                                         tiara::fault::Holes::kForbidden);
    if (back.status != tiara::fault::IoStatus::kDone) return false;
  }
  return report(name, all, misses, busy, wrong);
}

// Random reads with a quarter of the pages here: what any pager pays that is called by a signal and has to make room.
bool measure_cycle(const WorkerOptions& options) {
  const uint64_t pages = ground->region.size() >> kPageShift;
  ground->is_here.assign(pages, false);
  const auto* words = reinterpret_cast<const volatile uint64_t*>(ground->region.data());
  LatencyHistogram all, misses;
  uint64_t wrong = 0;
  uint64_t random = options.seed;
  const auto touch = [&] {
    random = mix(random);
    const uint64_t at = random % pages * (kPageSize / sizeof(uint64_t));
    const auto start = Clock::now();
    const uint64_t seen = words[at];
    wrong += seen != mix(options.seed ^ at);
    return static_cast<uint64_t>((Clock::now() - start).count());
  };
  for (uint64_t i = 0; i < pages; ++i) (void)touch();  // until as many leave as come
  const auto start = Clock::now();
  while (Clock::now() < start + options.duration)
    for (int i = 0; i < 64; ++i) {
      const uint64_t took = touch();
      all.record(took);
      if (took > static_cast<uint64_t>(kMissAbove.count())) misses.record(took);
    }
  const auto busy = Clock::now() - start;
  ground->is_here.clear();
  return report("floor_cycle", all, misses, busy, wrong) &&
         os::raw_madvise(ground->region.data(), ground->region.size(), MADV_DONTNEED) == 0;
}

}  // namespace

int run_floor(const WorkerOptions& options) {
  if (const auto prepared = prepare(options); !prepared) {
    fmt::print(stderr, "{}\n", prepared.error().message);
    return 77;
  }
  const bool has_move = std::exchange(ground->moves, false);
  // A large odd step: no page follows its neighbour, and a power of two of pages is covered whole.
  constexpr uint64_t kScatter = 0x9E3779B1;
  bool is_right = measure(options, "floor_copy", kScatter);
  is_right = measure_cycle(options) && is_right;
  ground->moves = has_move;
  if (has_move) is_right = measure(options, "floor_move", 1) && is_right;
  fmt::print("{}\n", nlohmann::json{{"wrong_words", is_right ? 0 : 1}}.dump());
  std::fflush(stdout);
  return is_right ? 0 : 1;
}

}  // namespace tiara::apps::fault
