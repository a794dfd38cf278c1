#include "tests/rtl/operator_runs.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <random>

#include "nic/operators/peer_library.h"
#include "tests/unit/nic/operators/run_operator.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::nic::rtl {
namespace {

using operators::Data;

const VerifiedProgram& peer_operator(std::string_view name) {
  static const auto* const programs = [] {
    auto* made = new std::map<std::string, VerifiedProgram, std::less<>>;
    for (const BuiltinOperator& each : peers::builtin_operators())
      made->emplace(each.name, *verify(*deserialize(each.container)));
    return made;
  }();
  return programs->find(name)->second;
}

// Hosts with a line of words each.
class Hosts final : public RemotePort {
 public:
  Fault load(RemoteAddress at, uint64_t& value) noexcept override { return value = word(at), Fault::kNone; }
  Fault store(RemoteAddress at, uint64_t value) noexcept override { return word(at) = value, Fault::kNone; }
  Fault compare_and_swap(RemoteAddress at, uint64_t expected, uint64_t desired, uint64_t& old) noexcept override {
    old = word(at);
    if (old == expected) word(at) = desired;
    return Fault::kNone;
  }
  Fault fetch_and_add(RemoteAddress at, uint64_t addend, uint64_t& old) noexcept override {
    old = word(at);
    word(at) += addend;
    return Fault::kNone;
  }
  Fault swap(RemoteAddress at, uint64_t desired, uint64_t& old) noexcept override {
    old = word(at);
    word(at) = desired;
    return Fault::kNone;
  }
  Fault read_bytes(RemoteAddress, std::span<std::byte>) noexcept override { return Fault::kRemoteUnavailable; }

 private:
  uint64_t& word(RemoteAddress at) { return words_[(at.host * 8 + at.offset / 8) % words_.size()]; }
  std::array<uint64_t, 64 * 8> words_{};
};

class Runs {
 public:
  explicit Runs(const std::function<Outcome(const OperatorRun&)>& run) : run_(run) {}
  bool all() {
    lists_and_graphs();
    trees();
    hashes();
    locks();
    gathers();
    peers();
    page_table();
    return is_right_;
  }

 private:
  Outcome on(std::string_view name, const VerifiedProgram& program, const RegionTable& regions,
             std::vector<uint64_t> arguments, std::span<const std::byte> payload = {}) {
    const Outcome outcome = run_({name, program, regions, arguments, payload, &hosts_});
    is_right_ = is_right_ && outcome.status == Status::kOk;
    return outcome;
  }
  Outcome on_data(std::string_view name, Data& data, std::vector<uint64_t> arguments,
                  std::span<const std::byte> payload = {}) {
    RegionTable regions{};
    regions[0] = {data.at(0), data.size(), Permission::kReadWriteAtomic};
    const bool is_peers = name.starts_with("peer_");
    return on(name, is_peers ? peer_operator(name) : operators::library_operator(name), regions, std::move(arguments),
              payload);
  }
  void lists_and_graphs();
  void trees();
  void hashes();
  void locks();
  void gathers();
  void peers();
  void page_table();

  const std::function<Outcome(const OperatorRun&)>& run_;
  std::mt19937_64 random_{1};
  Hosts hosts_;
  bool is_right_ = true;
};

void Runs::lists_and_graphs() {
  Data list(65 * 64);
  for (uint64_t i = 1; i <= 64; ++i) {
    list.word(i * 64) = i < 64 ? (i + 1) * 64 : 0;
    list.word(i * 64 + 8) = 100 + i;
  }
  for (const uint64_t key : {101, 107, 164, 1}) on_data("list_find", list, {64, key, 4096});

  constexpr uint64_t kVertices = 64;
  Data graph(kVertices * 64);
  for (uint64_t vertex = 0; vertex < kVertices; ++vertex)
    for (uint64_t edge = 1; edge < 8; ++edge)
      graph.word(vertex * 64 + 8 * edge) = (1 + random_() % (kVertices - 1)) * 64;
  for (const uint64_t hops : {1, 5, 10, 20}) {
    const uint64_t path = 0x1234567012345670;  // three bits a hop, none of them 7
    on_data("graph_walk", graph, {64, path & 0x36db6db6db6db6db, hops, ~uint64_t{0}});
  }
}

// Two levels, 15 keys a leaf: 0, 10, 20, ...
void Runs::trees() {
  constexpr uint64_t kNode = 256, kKeys = 15, kLeaves = 16;
  Data tree((kLeaves + 2) * kNode);
  for (uint64_t leaf = 0; leaf < kLeaves; ++leaf) {
    const uint64_t at = (leaf + 2) * kNode;
    tree.word(at) = kKeys | 1 << 16;
    for (uint64_t i = 0; i < kKeys; ++i) {
      tree.word(at + 8 + 8 * i) = 10 * (leaf * kKeys + i);
      tree.word(at + 128 + 8 * i) = leaf;
    }
    if (leaf > 0) tree.word(kNode + 8 * leaf) = 10 * leaf * kKeys;
    tree.word(kNode + 128 + 8 * leaf) = at;
  }
  tree.word(kNode) = kLeaves - 1;
  for (const uint64_t key : {0, 70, 1230, 2390, 5}) on_data("btree_find", tree, {kNode, key});
}

void Runs::hashes() {
  constexpr uint64_t kShift = 60, kBuckets = 16;
  Data table(64 * (kBuckets + 1));
  uint64_t keys = 0;
  for (uint64_t key = 1; keys < 12; ++key) {
    const uint64_t bucket = ((key * 0x9e3779b97f4a7c15) >> kShift) * 64;
    if (table.word(bucket) != 0) continue;
    table.word(bucket) = key;
    table.word(bucket + 8) = ~key;
    table.word(bucket + 48) = 64 * kBuckets;  // one bucket for what overflows, empty
    ++keys;
  }
  for (const uint64_t key : {1, 2, 3, 1000, 77777}) on_data("hash_find", table, {0, kShift, key});
}

void Runs::locks() {
  Data data(64 + 64 * 8);
  on_data("lock_acquire", data, {8, 5, 1});
  on_data("lock_acquire", data, {8, 6, 10});
  on_data("lock_release", data, {8, 5});
  Data queue(64 + 64 * 8);
  queue.word(64) = 1;
  for (uint64_t owner = 2; owner < 5; ++owner) on_data("lock_enqueue", queue, {0, owner});
  for (uint64_t ticket = 0; ticket < 3; ++ticket) on_data("lock_pass", queue, {0, ticket});

  const std::array<uint64_t, 8> wanted{0, 8, 2, 0, 3, 56, 4, 0};  // host, offset
  const auto list = std::as_bytes(std::span(wanted));
  for (const uint64_t count : {1, 4}) {
    on_data("lock_acquire_all", data, {7, count}, list.first(16 * count));
    on_data("lock_acquire_all", data, {9, count}, list.first(16 * count));
    on_data("lock_release_all", data, {7, count}, list.first(16 * count));
  }
}

void Runs::gathers() {
  constexpr uint64_t kBlocks = 4096, kTable = 64, kShift = 9;
  Data data(kBlocks + (40 << kShift));
  for (uint64_t i = 0; i < 32; ++i) data.half(kTable + 4 * i) = static_cast<uint32_t>(random_() % 40);
  for (const uint64_t count : {1, 8, 32}) on_data("kv_gather", data, {kTable, 0, count, kBlocks, kShift});
  for (uint64_t i = 0; i < 64; ++i) {
    data.word(16 * i) = kBlocks + 64 * i;
    data.word(16 * i + 8) = 4096;
  }
  for (const uint64_t experts : {0x1ull, 0x8000000000000101ull, 0xffull})
    on_data("expert_gather", data, {0, experts, 64, 512});
}

void Runs::peers() {
  Data data(4096);
  on_data("peer_load", data, {8});
  on_data("peer_store", data, {8, 5});
  on_data("peer_cas", data, {8, 5, 6});
  on_data("peer_add", data, {8, 1});
  on_data("peer_swap", data, {8, 1});
  on_data("peer_read", data, {8, 1000});
}

void Runs::page_table() {
  using namespace pagetable;
  for (const uint32_t levels : {1u, 3u, 5u}) {
    TestPool pool(600);
    for (const uint32_t space : {1u, 2u}) pool.make_space(space, levels);
    const auto call = [&](uint32_t space, std::string_view name, std::vector<uint64_t> arguments,
                          std::span<const std::byte> payload = {}) {
      const RegionTable all = pool.regions(space);
      const VerifiedProgram& program = builtin(name);
      RegionTable bound{};
      for (size_t i = 0; i < program.program().regions.size(); ++i) {
        const std::string_view region = program.program().regions[i].name;
        bound[i] = region == "pool" ? all[0] : region == "space" ? all[1] : region == "alloc" ? all[2] : all[3];
      }
      return on(name, program, bound, std::move(arguments), payload);
    };
    const std::vector<std::byte> pages(64 * kPageSize);
    const auto some = [&](uint64_t count) { return std::span(pages).first(count * kPageSize); };
    call(1, "pt_write", {0, 1}, some(1));
    call(1, "pt_write", {64, 0xff}, some(8));
    call(1, "pt_write", {128, ~uint64_t{0}}, some(64));
    call(1, "pt_write", {64, 0x1}, some(1));
    call(1, "pt_read", {0, 1});
    call(1, "pt_read", {64, 0x81});
    call(1, "pt_read", {128, ~uint64_t{0}});
    for (const uint64_t page : {0, 65, 300}) call(1, "pt_walk", {page});
    call(1, "pt_stat", {0, 512});
    call(1, "pt_stat", {60, 8});
    call(1, "pt_chase", {64, 64 << 12, 0, 0, 1});
    call(1, "pt_chase", {128, 128 << 12, 0, 129 << 12, 4});
    call(1, "pt_clone", {nic::pool::descriptor_offset(2)});
    call(2, "pt_write", {64, 0x3}, some(2));
    call(1, "pt_discard", {64, 1});
    call(1, "pt_discard", {128, 64});
  }
}

}  // namespace

bool run_all_operators(const std::function<Outcome(const OperatorRun&)>& run) { return Runs(run).all(); }

std::vector<std::string_view> all_operator_names() {
  std::vector<std::string_view> names;
  for (const auto& from : {operators::builtin_operators(), peers::builtin_operators(), pagetable::builtin_operators()})
    for (const BuiltinOperator& each : from) names.push_back(each.name);
  return names;
}

}  // namespace tiara::nic::rtl
