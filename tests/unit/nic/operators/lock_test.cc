// The locks: one by one, from many threads, and across hosts.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <random>
#include <set>
#include <thread>

#include "nic/engine/remote_port.h"
#include "tests/unit/nic/operators/run_operator.h"

namespace tiara::nic::operators {
namespace {

TEST_CASE("a free lock is taken once, and given back by its owner only") {
  Data data(64);
  CHECK(run("lock_acquire", data, {8, 5, 1}).result(0) == 1);
  const Run other = run("lock_acquire", data, {8, 6, 100});
  CHECK(other.result(0) == 0);
  CHECK(other.result(1) == 5);
  CHECK(other.outcome.counts.atomics == 100);
  CHECK(run("lock_acquire", data, {8, 5, 1}).result(0) == 1);  // again: does no harm
  CHECK(run("lock_release", data, {8, 6}).outcome.status == Status::kFailed);
  CHECK(run("lock_release", data, {8, 5}).is_ok());
  CHECK(run("lock_release", data, {8, 5}).outcome.status == Status::kFailed);
  CHECK(data.word(8) == 0);
}

TEST_CASE("one thread at a time is inside the lock") {
  Data data(64);
  library_operator("lock_acquire");
  uint64_t inside = 0;  // plain: only the lock protects it
  constexpr uint64_t kThreads = 4, kRounds = 2000;
  {
    std::vector<std::jthread> threads;
    for (uint64_t owner = 1; owner <= kThreads; ++owner)
      threads.emplace_back([&, owner] {
        for (uint64_t i = 0; i < kRounds; ++i) {
          while (run("lock_acquire", data, {0, owner, 64}).result(0) == 0)
            std::this_thread::yield();
          ++inside;
          if (!run("lock_release", data, {0, owner}).is_ok()) inside = 0;
        }
      });
  }
  CHECK(inside == kThreads * kRounds);
}

constexpr uint64_t kQueuedLockBytes = 64 + 64 * 8;

Data fresh_queued_lock() {
  Data data(kQueuedLockBytes);
  data.word(64) = 1;
  return data;
}

TEST_CASE("a queued lock goes to who asked, in the order of asking") {
  Data data = fresh_queued_lock();
  std::mt19937_64 random(6);
  std::deque<std::pair<uint64_t, uint64_t>> queue;  // owner, ticket; the front holds the lock
  uint64_t next_owner = 2, tickets = 0;
  for (int i = 0; i < 5000; ++i) {
    if (queue.empty() || (queue.size() < 64 && random() % 2 == 0)) {
      const Run asked = run("lock_enqueue", data, {0, next_owner});
      REQUIRE(asked.is_ok());
      REQUIRE(asked.result(0) == (queue.empty() ? 1 : 0));
      REQUIRE(asked.result(1) == tickets);
      queue.emplace_back(next_owner++, tickets++);
    } else {
      const Run passed = run("lock_pass", data, {0, queue.front().second});
      queue.pop_front();
      REQUIRE(passed.is_ok());
      REQUIRE(passed.result(0) == (queue.empty() ? 0 : queue.front().first));
    }
  }
}

TEST_CASE("a queued lock refuses the 65th, and a pass by who does not hold it") {
  Data data = fresh_queued_lock();
  for (uint64_t i = 0; i < 64; ++i) REQUIRE(run("lock_enqueue", data, {0, i + 2}).is_ok());
  const Run full = run("lock_enqueue", data, {0, 100});
  CHECK(full.outcome.status == Status::kFailed);
  CHECK(full.outcome.code == 1);
  CHECK(run("lock_pass", data, {0, 1}).outcome.status == Status::kFailed);
  CHECK(run("lock_pass", data, {0, 0}).result(0) == 3);
  CHECK(run("lock_pass", data, {0, 0}).outcome.status == Status::kFailed);
  CHECK(run("lock_enqueue", data, {0, 100}).is_ok());
}

TEST_CASE("nobody asks a queued lock twice, and one thread at a time is inside") {
  Data data = fresh_queued_lock();
  library_operator("lock_enqueue");
  constexpr uint64_t kThreads = 4, kRounds = 500;
  std::array<std::atomic<uint64_t>, kThreads + 2>
      told{};  // by owner: how often it was told that it has the lock
  uint64_t inside = 0;
  std::atomic<bool> is_wrong{false};
  {
    std::vector<std::jthread> threads;
    for (uint64_t owner = 2; owner < kThreads + 2; ++owner)
      threads.emplace_back([&, owner] {
        uint64_t heard = 0;
        for (uint64_t i = 0; i < kRounds; ++i) {
          const Run asked = run("lock_enqueue", data, {0, owner});
          if (!asked.is_ok()) is_wrong = true;
          if (asked.result(0) == 0) {
            told[owner].wait(heard);
            ++heard;
          }
          ++inside;
          const Run passed = run("lock_pass", data, {0, asked.result(1)});
          if (!passed.is_ok()) is_wrong = true;
          if (const uint64_t next = passed.result(0); next != 0) {
            ++told[next];
            told[next].notify_all();
          }
        }
      });
  }
  CHECK_FALSE(is_wrong);
  CHECK(inside == kThreads * kRounds);
}

// Hosts 0, 1, ... with a few lock words each; a host that is lost answers nothing.
class Hosts final : public RemotePort {
 public:
  static constexpr uint64_t kWords = 8;
  explicit Hosts(size_t count) : words_(count * kWords) {}

  uint64_t& word(uint64_t host, uint64_t offset) { return words_[host * kWords + offset / 8]; }
  void lose(uint64_t host) { lost_.insert(host); }

  Fault load(RemoteAddress, uint64_t&) noexcept override { return Fault::kRemoteUnavailable; }
  Fault store(RemoteAddress, uint64_t) noexcept override { return Fault::kRemoteUnavailable; }
  Fault fetch_and_add(RemoteAddress, uint64_t, uint64_t&) noexcept override {
    return Fault::kRemoteUnavailable;
  }
  Fault swap(RemoteAddress, uint64_t, uint64_t&) noexcept override {
    return Fault::kRemoteUnavailable;
  }
  Fault read_bytes(RemoteAddress, std::span<std::byte>) noexcept override {
    return Fault::kRemoteUnavailable;
  }
  Fault compare_and_swap(RemoteAddress at, uint64_t expected, uint64_t desired,
                         uint64_t& old) noexcept override {
    if (at.host * kWords >= words_.size() || lost_.count(at.host) != 0)
      return Fault::kRemoteUnavailable;
    if (at.offset / 8 >= kWords) return Fault::kRegionBounds;
    uint64_t& target = word(at.host, at.offset);
    old = target;
    if (old == expected) target = desired;
    return Fault::kNone;
  }

 private:
  std::vector<uint64_t> words_;
  std::set<uint64_t> lost_;
};

std::vector<std::byte> lock_list(std::vector<std::pair<uint64_t, uint64_t>> locks) {
  std::vector<std::byte> payload(locks.size() * 16);
  for (size_t i = 0; i < locks.size(); ++i) {
    std::memcpy(payload.data() + 16 * i, &locks[i].first, 8);
    std::memcpy(payload.data() + 16 * i + 8, &locks[i].second, 8);
  }
  return payload;
}

TEST_CASE("locks on several hosts are taken together or not at all") {
  Data none(64);
  Hosts hosts(4);
  const auto wanted = lock_list({{0, 8}, {2, 0}, {3, 56}});
  CHECK(run("lock_acquire_all", none, {7, 3}, wanted, &hosts).result(0) == 1);
  CHECK(hosts.word(0, 8) == 7);
  CHECK(hosts.word(2, 0) == 7);
  CHECK(hosts.word(3, 56) == 7);

  const auto crossing = lock_list({{1, 0}, {0, 0}, {2, 0}, {3, 0}});
  const Run refused = run("lock_acquire_all", none, {9, 4}, crossing, &hosts);
  CHECK(refused.result(0) == 0);
  CHECK(refused.result(1) == 2);
  CHECK(refused.result(2) == 7);
  CHECK(hosts.word(1, 0) == 0);
  CHECK(hosts.word(0, 0) == 0);
  CHECK(hosts.word(3, 0) == 0);

  CHECK(run("lock_release_all", none, {9, 3}, wanted, &hosts).result(0) == 0);
  CHECK(run("lock_release_all", none, {7, 3}, wanted, &hosts).result(0) == 3);
  CHECK(run("lock_acquire_all", none, {9, 4}, crossing, &hosts).result(0) == 1);
}

TEST_CASE("a lost host is a fault, and what was taken can be given back") {
  Data none(64);
  Hosts hosts(3);
  hosts.lose(2);
  const auto wanted = lock_list({{0, 0}, {1, 0}, {2, 0}});
  const Run broken = run("lock_acquire_all", none, {7, 3}, wanted, &hosts);
  CHECK(broken.outcome.status == Status::kFault);
  CHECK(broken.outcome.code == static_cast<uint16_t>(Fault::kRemoteUnavailable));
  CHECK(hosts.word(0, 0) == 7);
  CHECK(run("lock_release_all", none, {7, 2}, lock_list({{0, 0}, {1, 0}}), &hosts).result(0) == 2);
}

TEST_CASE("a list of locks that is too short or too long is refused before anything happens") {
  Data none(64);
  Hosts hosts(2);
  const auto two = lock_list({{0, 0}, {1, 0}});
  CHECK(run("lock_acquire_all", none, {7, 3}, two, &hosts).outcome.status == Status::kFailed);
  CHECK(run("lock_acquire_all", none, {7, 1}, two, &hosts).outcome.status == Status::kFailed);
  CHECK(run("lock_release_all", none, {7, 1}, two, &hosts).outcome.status == Status::kFailed);
  CHECK(hosts.word(0, 0) == 0);
}

}  // namespace
}  // namespace tiara::nic::operators
