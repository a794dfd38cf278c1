// The operators of nic/cc/examples beside the hand-written ones: same results, replies and failures, and at most
// half as many steps more, in every run and as proved.
#include <cstring>
#include <random>
#include <span>
#include <string_view>

#include "nic/engine/interpreter.h"
#include "nic/operators/library.h"
#include "nic/verifier/verified_program.h"
#include "pagetable/builtin.h"
#include "tests/unit/nic/cc/compile.h"
#include "tests/unit/pagetable/test_pool.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::cc;

namespace {

VerifiedProgram verified(Program program) {
  auto result = verify(std::move(program));
  REQUIRE(result.has_value());
  return std::move(*result);
}

VerifiedProgram find_builtin(std::span<const BuiltinOperator> operators, std::string_view name) {
  for (const BuiltinOperator& each : operators) {
    if (each.name != name) continue;
    auto program = deserialize(each.container);
    REQUIRE(program.has_value());
    return verified(std::move(*program));
  }
  FAIL("no operator " << name);
  std::abort();
}

// Two programs that should do the same.
class Pair {
 public:
  enum class Loads { kAsMany, kFewer };  // does the one from C look at as much memory?
  Pair(std::span<const BuiltinOperator> operators, const std::string& name, Loads loads = Loads::kAsMany)
      : by_hand_(find_builtin(operators, name)), from_c_(verified(compile_example(name).program)) {
    CHECK(from_c_.program().regions == by_hand_.program().regions);
    CHECK(from_c_.program().arguments == by_hand_.program().arguments);
    CHECK(from_c_.bounds().steps * 2 <= by_hand_.bounds().steps * 3);
    CHECK(from_c_.bounds().loads <= by_hand_.bounds().loads);
    CHECK((from_c_.bounds().loads == by_hand_.bounds().loads) == (loads == Loads::kAsMany));
    CHECK(from_c_.bounds().lines == by_hand_.bounds().lines);
  }

  // Runs both on memory that neither writes.
  Outcome run(const RegionTable& regions, const std::vector<uint64_t>& arguments) {
    std::vector<std::byte> expected(by_hand_.bounds().reply_bytes), actual(from_c_.bounds().reply_bytes);
    const Outcome one = engine_.run(by_hand_, {regions, arguments, {}, expected});
    const Outcome two = engine_.run(from_c_, {regions, arguments, {}, actual});
    REQUIRE(two.status == one.status);
    REQUIRE(two.code == one.code);
    REQUIRE(two.results == one.results);
    REQUIRE(two.reply_bytes == one.reply_bytes);
    REQUIRE(std::memcmp(actual.data(), expected.data(), one.reply_bytes) == 0);
    REQUIRE(two.counts.steps * 2 <= one.counts.steps * 3);
    return one;
  }

 private:
  Interpreter engine_;
  VerifiedProgram by_hand_;
  VerifiedProgram from_c_;
};

// Line-aligned memory.
struct Data {
  explicit Data(size_t bytes) : lines(bytes / 64 + 1) {}
  struct alignas(64) Line {
    std::byte bytes[64] = {};
  };
  uint64_t& word(uint64_t offset) { return *reinterpret_cast<uint64_t*>(base() + offset); }
  uint32_t& half(uint64_t offset) { return *reinterpret_cast<uint32_t*>(base() + offset); }
  std::byte* base() { return lines[0].bytes; }
  RegionTable regions() {
    RegionTable table{};
    table[0] = {base(), lines.size() * 64, Permission::kReadWriteAtomic};
    return table;
  }
  std::vector<Line> lines;
};

}  // namespace

TEST_CASE("the page walk from C does what the hand-written one does") {
  // The one from C is for spaces that are never cloned: it does not look at the generation.
  Pair pt_read(pagetable::builtin_operators(), "pt_read", Pair::Loads::kFewer);
  std::mt19937_64 random(11);
  for (const uint32_t levels : {1u, 2u, 4u, 5u}) {
    pagetable::TestPool pool(4000);
    pool.make_space(0, levels);
    const uint64_t pages = pool::max_pages_for(levels);
    std::vector<uint64_t> bases{0, pages - 128};
    for (int i = 0; i < 6; ++i) bases.push_back(random() % (pages - 128 + 1));
    for (const uint64_t base : bases)
      for (uint64_t page = base; page < base + 128; ++page) {
        if (random() % 3 == 0) continue;
        const bool is_mapped = random() % 2 == 0;
        if (!is_mapped) continue;
        const uint64_t frame = pool.map(0, page);
        for (uint64_t i = 0; i < kPageSize / 8; ++i) pool.at<uint64_t>((frame << kPageShift) + i * 8) = page * 1000 + i;
      }
    int failures = 0;
    for (int round = 0; round < 300; ++round) {
      const uint64_t first = bases[random() % bases.size()] + random() % 64;
      const uint64_t bitmap = (random() & random()) | uint64_t{1} << random() % 64;
      failures += pt_read.run(pool.regions(0), {first, bitmap}).status == Status::kFailed;
      failures += pt_read.run(pool.regions(0), {pages - 1 - random() % 64, bitmap}).status == Status::kFailed;
    }
    CHECK(failures > 0);
    pagetable::TestPool empty(10);
    empty.make_space(0, levels);
    pt_read.run(empty.regions(0), {3, 5});
  }
}

TEST_CASE("the graph walk from C does what the hand-written one does") {
  Pair graph_walk(operators::builtin_operators(), "graph_walk");
  std::mt19937_64 random(12);
  constexpr uint64_t kVertices = 300;
  Data data((kVertices + 1) * 64);
  const auto vertex = [](uint64_t i) { return (i + 1) * 64; };
  for (uint64_t i = 0; i < kVertices; ++i) {
    data.word(vertex(i)) = random() % 40;
    for (uint64_t edge = 0; edge < 7; ++edge)
      data.word(vertex(i) + 8 + 8 * edge) = random() % 12 == 0 ? 0 : vertex(random() % kVertices);
  }
  std::array<int, 3> endings{};
  for (int round = 0; round < 3000; ++round) {
    const uint64_t key = random() % 3 == 0 ? random() % 40 : 1000;
    const std::vector<uint64_t> arguments{vertex(random() % kVertices), random() >> 1, random() % 22, key};
    ++endings[graph_walk.run(data.regions(), arguments).results[2]];
  }
  for (const int each : endings) CHECK(each > 50);
  CHECK(graph_walk.run(data.regions(), {1 << 20, 0, 3, 0}).status == Status::kFault);
}

TEST_CASE("the KV-cache gather from C does what the hand-written one does") {
  Pair kv_gather(operators::builtin_operators(), "kv_gather");
  std::mt19937_64 random(13);
  constexpr uint64_t kBlocks = 4096, kTable = 64, kCount = 64;
  Data data(kBlocks + (40 << 13));
  for (uint64_t offset = 0; offset < data.lines.size() * 64; offset += 8) data.word(offset) = random();
  for (int round = 0; round < 300; ++round) {
    const uint64_t shift = 9 + random() % 5, first = random() % 32, count = 1 + random() % 32;
    const uint64_t end = random() % 2 == 0 ? random() % kCount : kCount;
    for (uint64_t i = 0; i < kCount; ++i)
      data.half(kTable + 4 * i) = i == end ? UINT32_MAX : static_cast<uint32_t>(random() % 40);
    kv_gather.run(data.regions(), {kTable, first, count, kBlocks, shift});
  }
  CHECK(kv_gather.run(data.regions(), {1 << 30, 0, 1, 0, 13}).status == Status::kFault);
}
