#include "apps/fault/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/common/latency.h"
#include "apps/fault/pattern.h"
#include "runtime/base/stats.h"
#include "runtime/os/memory.h"

namespace tiara::apps::fault {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kWords = kPageSize / sizeof(uint64_t);
// Between looks at the clock for the end: a fraction of a millisecond even if every access misses slowly.
constexpr uint32_t kBatch = 16;

// Zipf ranks by the approximation of Gray et al. (SIGMOD 1994), as YCSB has it; ranks are scattered over the pages.
class Zipf {
 public:
  explicit Zipf(uint64_t items) : items_(items) {
    double zeta = 0;
    for (uint64_t i = 1; i <= items; ++i) zeta += 1 / std::pow(static_cast<double>(i), kTheta);
    zeta_ = zeta;
    alpha_ = 1 / (1 - kTheta);
    const double zeta_2 = 1 + std::pow(0.5, kTheta);
    eta_ = (1 - std::pow(2.0 / static_cast<double>(items), 1 - kTheta)) / (1 - zeta_2 / zeta);
  }
  uint64_t page(uint64_t random) const {
    const double u = static_cast<double>(random >> 11) * 0x1p-53;
    const double uz = u * zeta_;
    uint64_t rank = 0;
    if (uz >= 1) rank = 1;
    if (uz >= 1 + std::pow(0.5, kTheta))
      rank = static_cast<uint64_t>(static_cast<double>(items_) * std::pow(eta_ * u - eta_ + 1, alpha_));
    return mix(std::min(rank, items_ - 1)) % items_;
  }

 private:
  static constexpr double kTheta = 0.99;
  uint64_t items_;
  double zeta_, alpha_, eta_;
};

// What the whole process did so far.
struct Totals {
  uint64_t minor_faults = 0, major_faults = 0;
  double user_seconds = 0, system_seconds = 0;
  uint64_t far_faults = 0, fetched = 0, evicted = 0, swapped_out = 0;
};

uint64_t swapped_out_pages() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  for (uint64_t value = 0; file >> name >> value;)
    if (name == "pswpout") return value;
  return 0;
}

// The statistics page of this process, when it runs under the runtime.
class FarStats {
 public:
  FarStats() {
    const char* path = getenv("TIARA_STATS");
    if (path == nullptr) return;
    file_ = UniqueFd(open(path, O_RDWR | O_CLOEXEC));
    if (!file_.is_open()) return;
    if (auto mapping = os::Mapping::shared(file_, Bytes{sizeof(stats::StatsPage)})) mapping_ = std::move(*mapping);
  }
  void add_to(Totals& totals) const {
    if (!mapping_.is_mapped()) return;
    const auto& page = *reinterpret_cast<const stats::StatsPage*>(mapping_.data());
    for (const stats::ProcessStats& process : page.processes) {
      if (process.pid.load(std::memory_order_relaxed) != getpid()) continue;
      const stats::Counters& c = process.counters;
      totals.far_faults = c.faults_untouched + c.faults_remote + c.faults_staged + c.faults_waited +
                          c.faults_write_protect + c.faults_spurious;
      totals.fetched = c.fetched_pages;
      totals.evicted = c.pages_staged + c.pages_stored_directly;
    }
  }

 private:
  UniqueFd file_;
  os::Mapping mapping_;
};

class Worker {
 public:
  explicit Worker(const WorkerOptions& options)
      : options_(options), pages_(options.data.value >> kPageShift), zipf_(pages_), versions_(pages_) {
    void* region = mmap(nullptr, options.data.value, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) {
      fmt::print(stderr, "mmap: {}\n", strerror(errno));
      exit(1);
    }
    // Huge pages would be split by swapping and never are far: every contestant has small ones.
    (void)madvise(region, options.data.value, MADV_NOHUGEPAGE);
    words_ = static_cast<uint64_t*>(region);
  }

  int run() {
    for (uint64_t page = 0; page < pages_; ++page)
      for (size_t i = 0; i < kWords; ++i) word(page, i) = first_content(page, i);
    warm_up();
    for (const uint32_t threads : options_.threads)
      for (const Pattern pattern : kPatterns) measure(pattern, threads);
    check_everything();
    fmt::print("{}\n", nlohmann::json{{"wrong_words", wrong_.load()}, {"result_hash", hash_}}.dump());
    std::fflush(stdout);
    return wrong_ == 0 ? 0 : 1;
  }

 private:
  struct Share {
    LatencyHistogram all, misses;
  };

  uint64_t& word(uint64_t page, size_t index) { return words_[page * kWords + index]; }
  uint64_t first_content(uint64_t page, size_t index) const { return mix(options_.seed ^ (page * kWords + index)); }
  // Word 0 is a counter on top of the first content; the other words never change.
  uint64_t content(uint64_t page, size_t index) const {
    return first_content(page, index) + (index == 0 ? versions_[page] : 0);
  }

  Totals totals() const {
    Totals totals;
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    totals.minor_faults = static_cast<uint64_t>(use.ru_minflt);
    totals.major_faults = static_cast<uint64_t>(use.ru_majflt);
    totals.user_seconds = seconds(use.ru_utime);
    totals.system_seconds = seconds(use.ru_stime);
    totals.swapped_out = swapped_out_pages();
    far_stats_.add_to(totals);
    return totals;
  }

  // One access, timed; which page and which word was decided before the clock starts.
  template <typename Access>
  void timed(Share& share, Access access) {
    const auto start = Clock::now();
    access();
    const auto took = static_cast<uint64_t>((Clock::now() - start).count());
    share.all.record(took);
    if (took > static_cast<uint64_t>(kMissAbove.count())) share.misses.record(took);
  }

  // Reads share the region; whoever writes keeps to pages of its own (page mod threads).
  void run_share(Pattern pattern, uint32_t thread, uint32_t threads, Share& share) {
    uint64_t random = mix(options_.seed * 1000 + thread + static_cast<uint64_t>(pattern) * 77);
    const uint64_t from = pages_ * thread / threads, to = pages_ * (thread + 1) / threads;
    uint64_t next = from;
    const auto end = Clock::now() + options_.duration;
    while (Clock::now() < end) {
      for (uint32_t i = 0; i < kBatch; ++i) {
        random = mix(random);
        uint64_t page = 0;
        const bool is_sequential = pattern == Pattern::kSequentialRead || pattern == Pattern::kSequentialWrite;
        if (is_sequential) {
          page = next;
          next = next + 1 == to ? from : next + 1;
        } else if (pattern == Pattern::kZipfRead) {
          page = zipf_.page(random);
        } else if (pattern == Pattern::kRandomRead) {
          page = random % pages_;
        } else {
          page = random % (pages_ / threads) * threads + thread;
        }
        access(pattern, page, 1 + (random >> 40) % (kWords - 1), share);
      }
    }
  }

  void access(Pattern pattern, uint64_t page, size_t index, Share& share) {
    volatile uint64_t* const words = &word(page, 0);
    uint64_t seen = 0;
    switch (pattern) {
      case Pattern::kRandomRead:
      case Pattern::kZipfRead:
      case Pattern::kSequentialRead:
        timed(share, [&] { seen = words[index]; });
        if (seen != content(page, index)) ++wrong_;
        return;
      case Pattern::kRandomRmw:
      case Pattern::kSequentialWrite:
        timed(share, [&] { seen = words[0]; words[0] = seen + 1; });
        if (seen != content(page, 0)) ++wrong_;
        ++versions_[page];
        return;
    }
  }

  // As many random reads as there are pages. What is here after the filling has never left, and the first time costs
  // every contestant more: a place has to be found for it, and its bytes have to be stored or compressed.
  void warm_up() {
    Share untold;
    uint64_t random = options_.seed;
    for (uint64_t i = 0; i < pages_; ++i) {
      random = mix(random);
      access(Pattern::kRandomRead, random % pages_, 1 + (random >> 40) % (kWords - 1), untold);
    }
  }

  void measure(Pattern pattern, uint32_t threads) {
    const Totals before = totals();
    const auto start = Clock::now();
    std::vector<std::unique_ptr<Share>> shares;
    for (uint32_t i = 0; i < threads; ++i) shares.push_back(std::make_unique<Share>());
    std::vector<std::thread> others;
    for (uint32_t i = 1; i < threads; ++i)
      others.emplace_back([&, i] { run_share(pattern, i, threads, *shares[i]); });
    run_share(pattern, 0, threads, *shares[0]);
    for (auto& other : others) other.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const Totals after = totals();
    for (uint32_t i = 1; i < threads; ++i) {
      shares[0]->all.add(shares[i]->all);
      shares[0]->misses.add(shares[i]->misses);
    }
    print(pattern, threads, seconds, *shares[0], before, after);
  }

  static nlohmann::json quantiles(const LatencyHistogram& histogram) {
    return {{"count", histogram.count()},
            {"p50_ns", histogram.quantile(0.5)},
            {"p99_ns", histogram.quantile(0.99)},
            {"p999_ns", histogram.quantile(0.999)},
            {"mean_ns", histogram.mean()}};
  }

  void print(Pattern pattern, uint32_t threads, double seconds, const Share& share, const Totals& before,
             const Totals& after) {
    const bool is_far = after.far_faults != 0;
    const auto rate = [&](uint64_t from, uint64_t to) { return static_cast<double>(to - from) / seconds; };
    // Under the runtime the kernel's own count misses what is served by signal, and the runtime's has all.
    const double faults = is_far ? rate(before.far_faults, after.far_faults)
                                 : rate(before.minor_faults + before.major_faults,
                                        after.minor_faults + after.major_faults);
    const nlohmann::json line = {
        {"pattern", to_string(pattern)},
        {"threads", threads},
        {"seconds", seconds},
        {"accesses_per_second", static_cast<double>(share.all.count()) / seconds},
        {"faults_per_second", faults},
        {"evictions_per_second", is_far ? rate(before.evicted, after.evicted)
                                        : rate(before.swapped_out, after.swapped_out)},
        {"fetched_pages_per_second", is_far ? rate(before.fetched, after.fetched) : 0.0},
        {"cpu_user_seconds", after.user_seconds - before.user_seconds},
        {"cpu_system_seconds", after.system_seconds - before.system_seconds},
        {"miss", quantiles(share.misses)},
        {"access", quantiles(share.all)}};
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
  }

  void check_everything() {
    for (uint64_t page = 0; page < pages_; ++page)
      for (size_t i = 0; i < kWords; ++i) {
        const uint64_t seen = word(page, i);
        if (seen != content(page, i)) ++wrong_;
        // Of the words that never change: the same for every contestant.
        if (i != 0) hash_ = (hash_ ^ seen) * 0x100000001B3u;
      }
  }

  const WorkerOptions options_;
  const uint64_t pages_;
  const Zipf zipf_;
  std::vector<uint32_t> versions_;
  uint64_t* words_ = nullptr;
  FarStats far_stats_;
  std::atomic<uint64_t> wrong_{0};
  uint64_t hash_ = 0xCBF29CE484222325u;
};

}  // namespace

int run_worker(const WorkerOptions& options) {
  Worker worker(options);
  return worker.run();
}

}  // namespace tiara::apps::fault
