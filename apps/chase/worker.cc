#include "apps/chase/worker.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <vector>

#include "apps/common/latency.h"

#define TIARA_WEAK
#include "runtime/include/tiara/tiara.h"

namespace tiara::apps::chase {
namespace {

using Clock = std::chrono::steady_clock;

// One a page, at an offset of its own so that the lists' objects do not all fall into the same cache set.
struct Object {
  uint64_t value;
  Object* next;
  uint64_t rest[62];
};
constexpr size_t kPerPage = kPageSize / sizeof(Object);
static_assert(kPageSize % sizeof(Object) == 0);

struct Lists {
  std::vector<Object*> heads;
  uint64_t sum_of(uint64_t list, uint32_t hops) const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= hops; ++i) sum += value_of(list, i);
    return sum;
  }
  static uint64_t value_of(uint64_t list, uint32_t position) { return (list << 8 | position) * 0x9E3779B97F4A7C15u; }
};

Lists build(Object* objects, uint64_t pages, const WorkerOptions& options) {
  std::vector<uint32_t> order(pages);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(options.seed));
  Lists lists;
  const uint64_t length = options.hops + 1;
  for (uint64_t list = 0; list < pages / length; ++list) {
    Object* next = nullptr;
    for (uint64_t i = length; i-- > 0;) {
      const uint64_t page = order[list * length + i];
      Object& object = objects[page * kPerPage + page % kPerPage];
      object.value = Lists::value_of(list, static_cast<uint32_t>(i));
      object.next = next;
      next = &object;
    }
    lists.heads.push_back(next);
  }
  return lists;
}

uint64_t walk(const volatile Object* object) {
  uint64_t sum = 0;
  for (; object != nullptr; object = object->next) sum += object->value;
  return sum;
}

uint64_t fetches() {
  tiara_stats stats{};
  stats.size = sizeof stats;
  return tiara_get_stats(&stats) == 0 ? stats.fetch_calls : 0;
}

}  // namespace

int run_worker(const WorkerOptions& options) {
  void* region = mmap(nullptr, options.data.value, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (region == MAP_FAILED) {
    fmt::print(stderr, "mmap: {}\n", strerror(errno));
    return 1;
  }
  if (tiara_is_far == nullptr || tiara_is_far(region) == 0) {
    fmt::print(stderr, "the region is not in far memory\n");
    return 77;
  }
  auto* objects = static_cast<Object*>(region);
  const Lists lists = build(objects, options.data.value >> kPageShift, options);
  if (options.follows) {
    const tiara_links links{sizeof(tiara_links), sizeof(Object), offsetof(Object, next), options.hops};
    if (tiara_follow(region, options.data.value, &links) != 0) {
      fmt::print(stderr, "tiara_follow: {}\n", strerror(errno));
      return 1;
    }
  }
  // Twice through all lists, so that every page has left once: before that the node does not have it to look at.
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < 2 * lists.heads.size(); ++i) {
    const uint64_t list = i % lists.heads.size();
    wrong += walk(lists.heads[list]) != lists.sum_of(list, options.hops);
  }
  LatencyHistogram walks;
  std::mt19937_64 random(options.seed + 1);
  const uint64_t before = fetches();
  uint64_t turn = 0;
  for (const auto end = Clock::now() + options.duration; Clock::now() < end;) {
    const uint64_t list = (options.order == Order::kRandom ? random() : turn++) % lists.heads.size();
    const auto start = Clock::now();
    const uint64_t sum = walk(lists.heads[list]);
    walks.record(static_cast<uint64_t>((Clock::now() - start).count()));
    wrong += sum != lists.sum_of(list, options.hops);
  }
  const uint64_t calls = fetches() - before;
  const auto count = static_cast<double>(std::max<uint64_t>(walks.count(), 1));
  fmt::print("{}\n", nlohmann::json{{"walks", walks.count()},
                                    {"round_trips_per_walk", static_cast<double>(calls) / count},
                                    {"p50_ns", walks.quantile(0.5)},
                                    {"p99_ns", walks.quantile(0.99)},
                                    {"mean_ns", walks.mean()},
                                    {"wrong", wrong}}
                         .dump());
  std::fflush(stdout);
  return wrong == 0 ? 0 : 1;
}

}  // namespace tiara::apps::chase
