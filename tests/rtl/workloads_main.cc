// workloads [--rounds N] [--seed S]: the five workloads on the NIC as an engine, each result as from the interpreter:
// page walks (and the pages that they end at), graph walks, locks, gathers of KV-cache blocks and of experts' weights.
//
// The operators are those of nic/operators and pagetable, from their containers, as any node loads them. Four threads
// ask at the same time wherever order does not matter, so that the NIC has several invocations in flight; memory
// answers late and in any order.
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "nic/engine/interpreter.h"
#include "nic/engine/remote_port.h"
#include "nic/rtl/rtl_engine.h"
#include "tests/unit/nic/operators/run_operator.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::nic::rtl {
namespace {

using operators::Data;
using operators::library_operator;

constexpr uint64_t kThreads = 4;

struct Call {
  const VerifiedProgram& program;
  std::vector<uint64_t> arguments;
  std::span<const std::byte> payload = {};
};

struct Answer {
  Outcome outcome;
  std::vector<std::byte> reply;
  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer ask(Engine& engine, const RegionTable& regions, const Call& call, RemotePort* remote = nullptr) {
  Answer answer{{}, std::vector<std::byte>(std::min<uint64_t>(call.program.bounds().reply_bytes, kMaxReplyBytes))};
  answer.outcome = engine.run(call.program, {regions, call.arguments, call.payload, answer.reply, remote});
  answer.reply.resize(answer.outcome.reply_bytes);
  return answer;
}

RegionTable whole(Data& data) {
  RegionTable regions{};
  regions[0] = {data.at(0), data.size(), Permission::kReadWriteAtomic};
  return regions;
}

bool are_equal(Data& a, Data& b) { return std::memcmp(a.at(0), b.at(0), a.size()) == 0; }

// Hosts with eight lock words each.
class Hosts final : public RemotePort {
 public:
  static constexpr uint64_t kHosts = 4, kWords = 8;

  Fault load(RemoteAddress, uint64_t&) noexcept override { return Fault::kRemoteUnavailable; }
  Fault store(RemoteAddress, uint64_t) noexcept override { return Fault::kRemoteUnavailable; }
  Fault fetch_and_add(RemoteAddress, uint64_t, uint64_t&) noexcept override { return Fault::kRemoteUnavailable; }
  Fault swap(RemoteAddress, uint64_t, uint64_t&) noexcept override { return Fault::kRemoteUnavailable; }
  Fault read_bytes(RemoteAddress, std::span<std::byte>) noexcept override { return Fault::kRemoteUnavailable; }
  Fault compare_and_swap(RemoteAddress at, uint64_t expected, uint64_t desired, uint64_t& old) noexcept override {
    if (at.host >= kHosts) return Fault::kRemoteUnavailable;
    if (at.offset / 8 >= kWords) return Fault::kRegionBounds;
    uint64_t& target = words[at.host * kWords + at.offset / 8];
    old = target;
    if (old == expected) target = desired;
    return Fault::kNone;
  }
  std::array<uint64_t, kHosts * kWords> words{};
};

class Workloads {
 public:
  Workloads(uint64_t rounds, uint64_t seed) : hardware_({2, 60, 5, 5, seed}), rounds_(rounds), random_(seed) {}

  bool all() {
    pages();
    graph();
    locks();
    kv_gather();
    expert_gather();
    return is_right_;
  }

 private:
  // Reads only, so that both engines work on the same memory: `make` draws one call.
  template <typename Make>
  void read_only(const char* what, const RegionTable& regions, Make make) {
    std::atomic<uint64_t> next{0};
    std::vector<std::jthread> threads;
    for (uint64_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, seed = random_()] {
        std::mt19937_64 random(seed);
        while (next.fetch_add(1) < rounds_) {
          const Call call = make(random);
          const Answer wanted = ask(interpreter_, regions, call);
          judge(what, wanted.outcome.status == Status::kOk && ask(hardware_, regions, call) == wanted);
        }
      });
  }
  void judge(const char* what, bool is_right) {
    ++runs_;
    if (is_right || !is_right_.exchange(false)) return;
    fprintf(stderr, "workloads: %s: not as the interpreter has it, or not as it should end\n", what);
  }
  void report(const char* what) {
    const uint64_t cycles = hardware_.cycles(), runs = runs_;
    printf("%-14s %6llu runs, %7llu cycles each\n", what, static_cast<unsigned long long>(runs - reported_runs_),
           static_cast<unsigned long long>((cycles - reported_cycles_) / std::max<uint64_t>(runs - reported_runs_, 1)));
    fflush(stdout);
    reported_cycles_ = cycles;
    reported_runs_ = runs;
  }

  void pages();
  void graph();
  void locks();
  void locks_alone(Data& hard, Data& soft);
  void locks_contended();
  void locks_of_hosts();
  void kv_gather();
  void expert_gather();

  RtlEngine hardware_;
  Interpreter interpreter_;
  const uint64_t rounds_;
  std::mt19937_64 random_;
  std::atomic<bool> is_right_{true};
  std::atomic<uint64_t> runs_{0};
  uint64_t reported_cycles_ = 0, reported_runs_ = 0;
};

RegionTable bound(pagetable::TestPool& pool, const VerifiedProgram& program) {
  const RegionTable all = pool.regions(0);
  RegionTable regions{};
  for (size_t i = 0; i < program.program().regions.size(); ++i) {
    const std::string_view name = program.program().regions[i].name;
    regions[i] = name == "pool" ? all[0] : name == "space" ? all[1] : name == "alloc" ? all[2] : all[3];
  }
  return regions;
}

// Tables of every depth: filled alike by both engines, then walked and read by all threads, then partly forgotten.
void Workloads::pages() {
  for (uint32_t levels = 1; levels <= pool::kMaxLevels; ++levels) {
    pagetable::TestPool hard(400), soft(400);
    for (auto* each : {&hard, &soft}) each->make_space(0, levels);
    const auto change = [&](std::string_view name, std::vector<uint64_t> arguments,
                            std::span<const std::byte> payload = {}) {
      const Call call{pagetable::builtin(name), std::move(arguments), payload};
      const Answer wanted = ask(interpreter_, bound(soft, call.program), call);
      judge("page table", ask(hardware_, bound(hard, call.program), call) == wanted &&
                              std::memcmp(hard.bytes().data(), soft.bytes().data(), hard.bytes().size()) == 0);
    };
    std::vector<uint64_t> firsts;
    std::vector<std::byte> payload;
    for (uint64_t i = 0; i < 4; ++i) {
      const uint64_t first = random_() % pool::max_pages_for(levels) / 64 * 64;
      const uint64_t bitmap = random_() & random_() & random_();
      payload.resize(static_cast<size_t>(__builtin_popcountll(bitmap)) * kPageSize);
      for (std::byte& byte : payload) byte = static_cast<std::byte>(random_());
      change("pt_write", {first, bitmap}, payload);
      firsts.push_back(first);
    }
    const auto some = [&](std::mt19937_64& random) { return firsts[random() % firsts.size()] + random() % 64; };
    const VerifiedProgram& walk = pagetable::builtin("pt_walk");
    read_only("page walk", bound(hard, walk), [&](std::mt19937_64& random) { return Call{walk, {some(random)}}; });
    const VerifiedProgram& read = pagetable::builtin("pt_read");
    read_only("page read", bound(hard, read), [&](std::mt19937_64& random) {
      const uint64_t bitmap = (random() & random() & random() & random()) | uint64_t{1} << random() % 64;
      return Call{read, {firsts[random() % firsts.size()], bitmap}};
    });
    change("pt_discard", {firsts[0], 40});
  }
  report("page walk");
}

void Workloads::graph() {
  constexpr uint64_t kVertices = 1000;
  Data data(kVertices * 64);
  for (uint64_t vertex = 0; vertex < kVertices; ++vertex) {
    data.word(vertex * 64) = vertex;  // its key
    for (uint64_t edge = 1; edge < 8; ++edge)
      data.word(vertex * 64 + 8 * edge) = random_() % 32 == 0 ? 0 : random_() % kVertices * 64;
  }
  const VerifiedProgram& program = library_operator("graph_walk");
  read_only("graph walk", whole(data), [&](std::mt19937_64& random) {
    return Call{program, {random() % kVertices * 64, random() >> 1, random() % 22, random() % kVertices}};
  });
  report("graph walk");
}

// One call after the other, in an order by chance, on equal memories.
void Workloads::locks_alone(Data& hard, Data& soft) {
  const auto both = [&](std::string_view name, std::vector<uint64_t> arguments) {
    const Call call{library_operator(name), std::move(arguments)};
    const Answer wanted = ask(interpreter_, whole(soft), call);
    judge("locks", ask(hardware_, whole(hard), call) == wanted && are_equal(hard, soft));
    return wanted.outcome;
  };
  uint64_t tickets = 0;
  for (uint64_t i = 0; i < rounds_; ++i) {
    const uint64_t lock = 640 + random_() % 8 * 8, owner = 2 + random_() % 3;
    switch (random_() % 4) {
      case 0: both("lock_acquire", {lock, owner, 1 + random_() % 3}); break;
      case 1: both("lock_release", {lock, owner}); break;
      case 2: both("lock_enqueue", {0, owner}); break;
      default: tickets += both("lock_pass", {0, tickets}).status == Status::kOk;
    }
  }
}

// Only the lock protects `inside`.
void Workloads::locks_contended() {
  Data data(64);
  const VerifiedProgram &acquire = library_operator("lock_acquire"), &release = library_operator("lock_release");
  uint64_t inside = 0;
  {
    std::vector<std::jthread> threads;
    for (uint64_t owner = 1; owner <= kThreads; ++owner)
      threads.emplace_back([&, owner] {
        for (uint64_t i = 0; i < rounds_ / 4; ++i) {
          while (ask(hardware_, whole(data), {acquire, {0, owner, 16}}).outcome.results[0] == 0) {}
          ++inside;
          judge("lock", ask(hardware_, whole(data), {release, {0, owner}}).outcome.status == Status::kOk);
        }
      });
  }
  judge("lock: two were inside", inside == kThreads * (rounds_ / 4) && data.word(0) == 0);
}

void Workloads::locks_of_hosts() {
  Hosts hard, soft;
  Data none(64);
  for (uint64_t i = 0; i < rounds_; ++i) {
    const uint64_t count = 1 + random_() % 4, owner = 1 + random_() % 3;
    std::array<uint64_t, 8> list;
    for (uint64_t n = 0; n < count; ++n) {
      list[2 * n] = n;  // each host once
      list[2 * n + 1] = random_() % 3 * 8;
    }
    const Call call{library_operator(random_() % 2 == 0 ? "lock_acquire_all" : "lock_release_all"),
                    {owner, count}, std::as_bytes(std::span(list)).first(16 * count)};
    const Answer wanted = ask(interpreter_, whole(none), call, &soft);
    judge("locks of hosts", ask(hardware_, whole(none), call, &hard) == wanted && hard.words == soft.words);
  }
}

void Workloads::locks() {
  Data hard(704), soft(704);  // a queued lock, then eight plain ones
  for (auto* each : {&hard, &soft}) each->word(64) = 1;
  locks_alone(hard, soft);
  locks_contended();
  locks_of_hosts();
  report("locks");
}

void Workloads::kv_gather() {
  constexpr uint64_t kBlocks = 4096, kTable = 64, kCount = 64;
  Data data(kBlocks + (40 << 13));
  for (uint64_t offset = 0; offset < data.size(); offset += 8) data.word(offset) = random_();
  const uint64_t end = kCount / 2 + random_() % 16;  // of the sequence
  for (uint64_t i = 0; i < kCount; ++i)
    data.half(kTable + 4 * i) = i == end ? UINT32_MAX : static_cast<uint32_t>(random_() % 40);
  const VerifiedProgram& program = library_operator("kv_gather");
  read_only("KV-cache gather", whole(data), [&](std::mt19937_64& random) {
    const uint64_t shift = 9 + random() % 5;
    return Call{program, {kTable, random() % 32, 1 + random() % (uint64_t{1} << (14 - shift)), kBlocks, shift}};
  });
  report("KV-cache gather");
}

void Workloads::expert_gather() {
  constexpr uint64_t kDirectory = 64, kWeights = 4096, kWeightBytes = 1 << 18;
  Data data(kWeights + kWeightBytes);
  for (uint64_t offset = 0; offset < data.size(); offset += 8) data.word(offset) = random_();
  for (uint64_t i = 0; i < 64; ++i) {
    const uint64_t length = random_() % 16384;
    data.word(kDirectory + 16 * i) = kWeights + random_() % (kWeightBytes - length);
    data.word(kDirectory + 16 * i + 8) = length;
  }
  const VerifiedProgram& program = library_operator("expert_gather");
  read_only("expert gather", whole(data), [&](std::mt19937_64& random) {
    const uint64_t experts = (random() & random() & random()) | uint64_t{1} << random() % 64;
    return Call{program, {kDirectory, experts, random() % 14000, 1 + random() % 2048}};
  });
  report("expert gather");
}

}  // namespace
}  // namespace tiara::nic::rtl

int main(int argc, char** argv) {
  uint64_t rounds = 60, seed = 1;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    uint64_t* const field = name == "--rounds" ? &rounds : name == "--seed" ? &seed : nullptr;
    if (field == nullptr || std::from_chars(value.data(), value.data() + value.size(), *field).ec != std::errc{}) {
      fprintf(stderr, "usage: workloads [--rounds N] [--seed S]\n");
      return 64;
    }
  }
  return tiara::nic::rtl::Workloads(rounds, seed).all() ? 0 : 1;
}
