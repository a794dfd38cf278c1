// kv_gather and expert_gather against models in plain C++.
#include <catch2/catch.hpp>
#include <random>

#include "tests/unit/nic/operators/run_operator.h"

namespace tiara::nic::operators {
namespace {

void fill_random(Data& data, std::mt19937_64& random) {
  for (uint64_t offset = 0; offset < data.size(); offset += 8) data.word(offset) = random();
}

TEST_CASE("kv_gather brings the blocks in the table's order, up to its end") {
  std::mt19937_64 random(1);
  constexpr uint64_t kBlocks = 4096, kTable = 64, kCount = 64;
  Data data(kBlocks + (40 << 13));
  fill_random(data, random);
  for (int round = 0; round < 300; ++round) {
    const uint64_t shift = 9 + random() % 5, first = random() % 32, count = 1 + random() % 32;
    const uint64_t end = random() % 2 == 0 ? random() % kCount : kCount;
    for (uint64_t i = 0; i < kCount; ++i)
      data.half(kTable + 4 * i) = i == end ? UINT32_MAX : static_cast<uint32_t>(random() % 40);
    std::vector<std::byte> wanted;
    uint64_t blocks = 0;
    for (; blocks < count && data.half(kTable + 4 * (first + blocks)) != UINT32_MAX; ++blocks) {
      const std::byte* block =
          data.at(kBlocks + (uint64_t{data.half(kTable + 4 * (first + blocks))} << shift));
      wanted.insert(wanted.end(), block, block + (uint64_t{1} << shift));
    }
    const Run gathered = run("kv_gather", data, {kTable, first, count, kBlocks, shift});
    REQUIRE(gathered.is_ok());
    REQUIRE(gathered.result(0) == blocks);
    REQUIRE(gathered.reply == wanted);
  }
}

TEST_CASE("kv_gather never reads beyond its region") {
  Data data(8192);
  data.half(0) = 1 << 20;
  CHECK(run("kv_gather", data, {0, 0, 1, 0, 13}).outcome.status == Status::kFault);
  CHECK(run("kv_gather", data, {0, 0, 33, 0, 13}).outcome.status == Status::kRefused);
}

TEST_CASE("expert_gather brings each expert's slice, and leaves out who has none") {
  std::mt19937_64 random(2);
  constexpr uint64_t kDirectory = 64, kWeights = 4096;
  Data data(kWeights + (1 << 20));
  fill_random(data, random);
  for (int round = 0; round < 300; ++round) {
    for (uint64_t i = 0; i < 64; ++i) {
      const uint64_t length = random() % 16384;
      data.word(kDirectory + 16 * i) = kWeights + random() % ((1 << 20) - length);
      data.word(kDirectory + 16 * i + 8) = length;
    }
    const uint64_t experts = (random() & random()) | uint64_t{1} << random() % 64;
    const uint64_t from = random() % 14000, bytes = 1 + random() % 4096;
    std::vector<std::byte> wanted;
    uint64_t got = 0;
    for (uint64_t i = 0; i < 64; ++i) {
      if ((experts >> i & 1) == 0 || data.word(kDirectory + 16 * i + 8) < from + bytes) continue;
      got |= uint64_t{1} << i;
      const std::byte* slice = data.at(data.word(kDirectory + 16 * i) + from);
      wanted.insert(wanted.end(), slice, slice + bytes);
    }
    const Run gathered = run("expert_gather", data, {kDirectory, experts, from, bytes});
    REQUIRE(gathered.is_ok());
    REQUIRE(gathered.result(0) == got);
    REQUIRE(gathered.reply == wanted);
  }
}

}  // namespace
}  // namespace tiara::nic::operators
