#include "runtime/residency/budget.h"

#include <algorithm>
#include <cstring>

namespace tiara::residency {
namespace {

// An eighth in staging makes the second chance worth having (a page that comes back within the last eighth of its
// life here costs no node), and leaves seven eighths that cost no fault at all.
constexpr uint64_t kStagingShare = 8;
// More staged pages than this only age: 16 MiB are written back in a few milliseconds.
constexpr uint64_t kMostStagingPages = 4096;

}  // namespace

Budget::Budget(LocalBudget local, uint32_t cluster_pages, stats::ProcessStats& stats) noexcept
    : local_(local), cluster_pages_(cluster_pages), stats_(stats) {}

uint64_t Budget::floor_pages() const noexcept {
  const uint64_t threads = threads_.load(std::memory_order_relaxed);
  // Four clusters: the queue of resident clusters must be longer than the one that is being filled.
  return std::max<uint64_t>(threads * kFloorPagesPerThread, uint64_t{4} * cluster_pages_);
}

uint64_t Budget::limit_pages() const noexcept {
  if (local_.fraction) {
    const auto peak = static_cast<double>(stats_.counters.far_pages_peak.load(std::memory_order_relaxed));
    return std::max(floor_pages(), static_cast<uint64_t>(peak * *local_.fraction));
  }
  if (!local_.bytes) return kUnlimited;
  const uint64_t near = near_bytes_.load(std::memory_order_relaxed);
  const uint64_t left = local_.bytes->value > near ? (local_.bytes->value - near) >> kPageShift : 0;
  return std::max(floor_pages(), left);
}

uint64_t Budget::staging_pages() const noexcept {
  const uint64_t limit = limit_pages();
  if (limit == kUnlimited) return kMostStagingPages;
  return std::min({std::max<uint64_t>(limit / kStagingShare, uint64_t{2} * cluster_pages_), limit / 2,
                   kMostStagingPages});
}

uint32_t Budget::protected_fetches() const noexcept {
  // At most half of what a cluster's 8-bit arrival stamp can tell apart.
  return std::clamp(4 * threads_.load(std::memory_order_relaxed), 4u, 128u);
}

void Budget::measured(Bytes near_memory, uint32_t threads) noexcept {
  near_bytes_.store(near_memory.value, std::memory_order_relaxed);
  threads_.store(threads, std::memory_order_relaxed);
  stats_.counters.near_bytes.store(near_memory.value, std::memory_order_relaxed);
  const uint64_t limit = limit_pages();
  stats_.counters.budget_pages.store(limit == kUnlimited ? 0 : limit, std::memory_order_relaxed);
  const bool is_at_floor = local_.bytes && near_memory.value + (floor_pages() << kPageShift) > local_.bytes->value;
  if (is_at_floor && !has_noted_floor_.exchange(true) && stats_.note[0] == 0) {
    constexpr char kNote[] =
        "--local is less than the program's near memory: far memory runs at its floor; raise --local";
    static_assert(sizeof kNote <= sizeof stats_.note);
    memcpy(stats_.note, kNote, sizeof kNote);
  }
}

}  // namespace tiara::residency
