#include "apps/policy/simulate.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <queue>
#include <unordered_map>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/residency/eviction_step.h"
#include "runtime/residency/page_heat.h"
#include "runtime/residency/resident_order.h"

namespace tiara::apps::policy {
namespace {

constexpr uint32_t kGroupBits = 6;  // the largest cluster
constexpr uint32_t kNone = UINT32_MAX;

// The pager's queues without the kernel: pages are resident, staged or away.
class Model {
 public:
  Model(const References& references, const Memory& memory, EvictionPolicy policy)
      : memory_(memory), shift_(static_cast<uint32_t>(std::countr_zero(memory.cluster_pages))),
        clusters_((references.page_count >> shift_) + 1),
        order_(std::move(*residency::ResidentOrder::create(static_cast<uint32_t>(clusters_.size()), policy))),
        heat_(std::move(*residency::PageHeat::create(PageCount{references.page_count}))),
        staging_limit_(memory.way == Way::kCopy ? 0 : static_cast<uint32_t>(memory.pages * memory.staging_share)),
        resident_limit_(std::max(memory.pages - staging_limit_, memory.cluster_pages)),
        was_here_(references.page_count, false) {}

  Misses run(const References& references) {
    for (const uint32_t page : references.pages) {
      ++misses_.references;
      touch(page);
    }
    return misses_;
  }

 private:
  struct Cluster {
    uint64_t resident = 0;  // positions
    uint64_t staged = 0;
    bool is_queued = false;
    residency::ResidentOrder::Queue queue = residency::ResidentOrder::Queue::kMain;
    bool left_early = false;  // before its turn, along with a neighbour (ClusterWord::mark_left_early)
    bool has_slot = false;  // until its staged pages are written back; what is staged meanwhile joins them
  };

  void touch(uint32_t page) {
    const uint32_t number = page >> shift_;
    Cluster& cluster = clusters_[number];
    const uint64_t bit = uint64_t{1} << (page & (memory_.cluster_pages - 1));
    if (cluster.resident & bit) return;
    auto how = fault::Arrival::kFetched;
    if (cluster.staged & bit) {
      cluster.staged &= ~bit;
      --staged_;
      ++misses_.taken_back;
      how = fault::Arrival::kTakenBack;
    } else if (!was_here_[page]) {
      was_here_[page] = true;
      ++misses_.first_uses;
      how = fault::Arrival::kNew;
    } else {
      ++misses_.fetches;
    }
    cluster.resident |= bit;
    ++resident_;
    if (memory_.heat && how != fault::Arrival::kNew) heat_.returned(PageNumber{page});
    if (!std::exchange(cluster.is_queued, true)) cluster.queue = order_.push({number}, how);
    settle(number);
  }

  void settle(uint32_t fresh) {
    while (resident_ > resident_limit_ && evict(fresh)) {
    }
    while (staged_ > staging_limit_) write_back();
  }

  // As Evictor::evict_oldest: what has just arrived stays, and what is hot. False: only that is left.
  bool evict(uint32_t fresh) {
    constexpr int kMostClustersTried = 32;
    for (int tried = 0; tried < kMostClustersTried;) {
      const auto victim = order_.try_pop();
      if (!victim) return false;
      Cluster& cluster = clusters_[victim->cluster.value];
      if (std::exchange(cluster.left_early, false)) {
        cluster.is_queued = cluster.resident != 0;
        if (cluster.is_queued) order_.put_back(*victim);
        continue;
      }
      ++tried;
      if (victim->cluster.value == fresh) {
        order_.put_back(*victim);
        continue;
      }
      bool has_left = false;
      const auto [first, end] = neighbours_of(victim->cluster.value);
      for (uint32_t number = first; number < end; ++number) {
        if (number == fresh || !may_leave_along(number, *victim)) continue;
        const uint64_t leaving = clusters_[number].resident & cold_pages(number);
        if (leaving == 0) continue;
        take_away(number, leaving);
        order_.left({number}, victim->from);
        has_left = true;
        clusters_[number].left_early = number != victim->cluster.value && clusters_[number].is_queued;
      }
      cluster.is_queued = cluster.resident != 0;
      if (cluster.is_queued) order_.put_back(*victim);
      if (has_left) return true;
    }
    return false;
  }

  // As Evictor::may_leave_along.
  bool may_leave_along(uint32_t number, const residency::ResidentOrder::Victim& victim) const {
    const Cluster& cluster = clusters_[number];
    if (number == victim.cluster.value || !order_.has_newcomers_apart() || !cluster.is_queued) return true;
    constexpr auto kProbation = residency::ResidentOrder::Queue::kProbation;
    return victim.from == kProbation && cluster.queue == kProbation;
  }

  // As Evictor::neighbours_of.
  std::pair<uint32_t, uint32_t> neighbours_of(uint32_t victim) const {
    if (memory_.way != Way::kCopy) return {victim, victim + 1};
    // What reads the page tables matters above 32 MiB only.
    const residency::EvictionStep step =
        residency::automatic_step(resident_limit_, 0, memory_.cluster_pages, fault::PageTables::kWalked);
    const auto around = [&](uint32_t wide) {
      const uint32_t first = victim & ~(wide - 1);
      return std::pair{first, std::min(first + wide, static_cast<uint32_t>(clusters_.size()))};
    };
    const auto to_leave = [&](std::pair<uint32_t, uint32_t> range) {
      uint32_t count = 0;
      for (uint32_t number = range.first; number < range.second; ++number)
        for (uint64_t rest = clusters_[number].resident; rest != 0; rest &= rest - 1)
          count += !(memory_.heat && heat_.is_hot(page_at(number, rest)));
      return count;
    };
    uint32_t wide = step.span_pages / memory_.cluster_pages;
    while (wide > 1 && to_leave(around(wide)) > step.most_pages) wide /= 2;
    return around(wide);
  }

  void take_away(uint32_t number, uint64_t leaving) {
    Cluster& cluster = clusters_[number];
    const auto count = static_cast<uint32_t>(std::popcount(leaving));
    for (uint64_t rest = memory_.heat ? leaving : 0; rest != 0; rest &= rest - 1)
      heat_.left(page_at(number, rest), resident_);
    cluster.resident &= ~leaving;
    resident_ -= count;
    if (memory_.way == Way::kCopy || count == 0) return;
    if (!std::exchange(cluster.has_slot, true)) slots_.push_back(number);
    cluster.staged |= leaving;
    staged_ += count;
  }

  PageNumber page_at(uint32_t number, uint64_t positions) const {
    return {(uint64_t{number} << shift_) + static_cast<uint64_t>(std::countr_zero(positions))};
  }

  // As Evictor::cold_pages: asking cools the others down.
  uint64_t cold_pages(uint32_t number) {
    uint64_t cold = ~uint64_t{0};
    for (uint64_t rest = memory_.heat ? clusters_[number].resident : 0; rest != 0; rest &= rest - 1)
      if (heat_.stays(page_at(number, rest))) cold &= ~(rest & -rest);
    return cold;
  }

  void write_back() {
    TIARA_CHECK(!slots_.empty());
    Cluster& cluster = clusters_[slots_.front()];
    slots_.pop_front();
    cluster.has_slot = false;
    staged_ -= static_cast<uint32_t>(std::popcount(std::exchange(cluster.staged, 0)));
  }

  const Memory memory_;
  const uint32_t shift_;
  std::vector<Cluster> clusters_;
  residency::ResidentOrder order_;
  residency::PageHeat heat_;
  std::deque<uint32_t> slots_;  // clusters with a staging slot, oldest first
  const uint32_t staging_limit_;
  const uint32_t resident_limit_;
  std::vector<bool> was_here_;
  uint32_t resident_ = 0;
  uint32_t staged_ = 0;
  Misses misses_;
};

}  // namespace

References renumber(std::span<const uint64_t> pages) {
  References out;
  out.pages.reserve(pages.size());
  std::unordered_map<uint64_t, uint32_t> groups;
  std::vector<bool> is_used;
  for (const uint64_t page : pages) {
    const auto [group, is_new] = groups.try_emplace(page >> kGroupBits, static_cast<uint32_t>(groups.size()));
    if (is_new) is_used.resize(is_used.size() + (size_t{1} << kGroupBits), false);
    const uint32_t number = group->second << kGroupBits | static_cast<uint32_t>(page & ((1u << kGroupBits) - 1));
    is_used[number] = true;
    out.pages.push_back(number);
  }
  out.page_count = static_cast<uint32_t>(is_used.size());
  return out;
}

Misses simulate_lru(const References& references, uint32_t memory_pages) {
  // A list through arrays, from the least to the most recently used; the last entry is both ends.
  const uint32_t ends = references.page_count;
  std::vector<uint32_t> next(ends + 1, kNone), previous(ends + 1, kNone);
  next[ends] = previous[ends] = ends;
  std::vector<bool> was_here(ends, false);
  const auto unlink = [&](uint32_t page) {
    next[previous[page]] = next[page];
    previous[next[page]] = previous[page];
    next[page] = kNone;
  };
  Misses misses;
  uint32_t count = 0;
  for (const uint32_t page : references.pages) {
    ++misses.references;
    if (next[page] != kNone) {
      unlink(page);
    } else {
      if (was_here[page]) ++misses.fetches;
      else ++misses.first_uses;
      was_here[page] = true;
      if (++count > memory_pages) {
        unlink(next[ends]);
        --count;
      }
    }
    next[page] = ends;
    previous[page] = previous[ends];
    next[previous[ends]] = page;
    previous[ends] = page;
  }
  return misses;
}

Misses simulate_belady(const References& references, uint32_t memory_pages) {
  const auto length = static_cast<uint32_t>(references.pages.size());
  std::vector<uint32_t> next_use(length, kNone);
  std::vector<uint32_t> last(references.page_count, kNone);
  for (uint32_t at = length; at-- > 0;) {
    next_use[at] = last[references.pages[at]];
    last[references.pages[at]] = at;
  }
  // Farthest next use first. Entries of pages that were used since are out of date and skipped.
  std::priority_queue<std::pair<uint32_t, uint32_t>> farthest;
  std::vector<uint32_t> due(references.page_count, kNone);
  std::vector<bool> is_here(references.page_count, false), was_here(references.page_count, false);
  Misses misses;
  uint32_t count = 0;
  for (uint32_t at = 0; at < length; ++at) {
    const uint32_t page = references.pages[at];
    ++misses.references;
    if (!is_here[page]) {
      if (was_here[page]) ++misses.fetches;
      else ++misses.first_uses;
      if (count == memory_pages) {
        while (!is_here[farthest.top().second] || due[farthest.top().second] != farthest.top().first) farthest.pop();
        is_here[farthest.top().second] = false;
        farthest.pop();
        --count;
      }
      is_here[page] = was_here[page] = true;
      ++count;
    }
    due[page] = next_use[at];
    farthest.emplace(due[page], page);
  }
  return misses;
}

Misses simulate_runtime(const References& references, const Memory& memory, EvictionPolicy policy) {
  return Model(references, memory, policy).run(references);
}

}  // namespace tiara::apps::policy
