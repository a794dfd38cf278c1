// list_find, graph_walk, btree_find and hash_find against models in plain C++.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <numeric>
#include <random>

#include "nic/operators/peer_library.h"
#include "tests/unit/nic/operators/proved_bounds.h"
#include "tests/unit/nic/operators/run_operator.h"

namespace tiara::nic::operators {
namespace {

// --- list_find ---

// `count` records at shuffled places, keys 100, 101, ...; returns their offsets in the list's
// order. Offset 0 stays free, since 0 ends a list.
std::vector<uint64_t> make_list(Data& data, uint64_t count, std::mt19937_64& random) {
  std::vector<uint64_t> places(count);
  for (uint64_t i = 0; i < count; ++i) places[i] = (i + 1) * 64;
  std::shuffle(places.begin(), places.end(), random);
  for (uint64_t i = 0; i < count; ++i) {
    data.word(places[i]) = i + 1 < count ? places[i + 1] : 0;
    data.word(places[i] + 8) = 100 + i;
    data.word(places[i] + 16) = ~(100 + i);
  }
  return places;
}

TEST_CASE("list_find stops at the first match and brings the record") {
  std::mt19937_64 random(1);
  Data data(201 * 64);
  const auto places = make_list(data, 200, random);
  for (const uint64_t i : {0, 1, 57, 199}) {
    const Run found = run("list_find", data, {places[0], 100 + i, 4096});
    REQUIRE(found.is_ok());
    CHECK(found.result(0) == places[i]);
    CHECK(found.result(2) == i + 1);
    CHECK(found.outcome.counts.lines == i + 1);
    REQUIRE(found.reply.size() == 64);
    CHECK(std::memcmp(found.reply.data(), data.at(places[i]), 64) == 0);
  }
}

TEST_CASE("list_find says that the list ended, or where to go on") {
  std::mt19937_64 random(2);
  Data data(201 * 64);
  const auto places = make_list(data, 200, random);
  const Run absent = run("list_find", data, {places[0], 5, 4096});
  CHECK(absent.result(0) == 0);
  CHECK(absent.result(1) == 0);
  CHECK(absent.result(2) == 200);
  CHECK(absent.reply.empty());
  const Run cut = run("list_find", data, {places[0], 5, 50});
  CHECK(cut.result(0) == 0);
  CHECK(cut.result(1) == places[50]);
  CHECK(cut.result(2) == 50);
  CHECK(run("list_find", data, {places[50], 5, 150}).result(2) == 150);
  CHECK(run("list_find", data, {places[50], 100 + 60, 150}).result(0) == places[60]);
}

TEST_CASE("list_find on a list that leaves the region is a fault") {
  Data data(128);
  data.word(64) = 1 << 20;
  CHECK(run("list_find", data, {64, 5, 10}).outcome.status == Status::kFault);
}

// --- graph_walk ---

TEST_CASE("graph_walk follows the path as a model does") {
  std::mt19937_64 random(3);
  constexpr uint64_t kVertices = 300;
  Data data((kVertices + 1) * 64);
  const auto vertex = [](uint64_t i) { return (i + 1) * 64; };
  for (uint64_t i = 0; i < kVertices; ++i) {
    data.word(vertex(i)) = random() % 40;
    for (uint64_t edge = 0; edge < 7; ++edge)
      data.word(vertex(i) + 8 + 8 * edge) = random() % 12 == 0 ? 0 : vertex(random() % kVertices);
  }
  std::array<int, 3> ends{};
  for (int round = 0; round < 2000; ++round) {
    const uint64_t start = vertex(random() % kVertices), path = random() >> 1, hops = random() % 22;
    const uint64_t key = random() % 3 == 0 ? random() % 40 : 1000;
    uint64_t at = start, followed = 0, how = data.word(at) == key ? 1 : 0;
    for (uint64_t rest = path; how == 0 && followed < hops; rest >>= 3) {
      const uint64_t edge = rest & 7;
      const uint64_t next = edge == 7 ? at : data.word(at + 8 + 8 * edge);
      if (next == 0) {
        how = 2;
        break;
      }
      at = next;
      ++followed;
      if (data.word(at) == key) how = 1;
    }
    const Run walked = run("graph_walk", data, {start, path, hops, key});
    REQUIRE(walked.is_ok());
    REQUIRE(walked.result(0) == at);
    REQUIRE(walked.result(1) == followed);
    REQUIRE(walked.result(2) == how);
    REQUIRE(std::memcmp(walked.reply.data(), data.at(at), 64) == 0);
    ++ends[how];
  }
  CHECK(*std::min_element(ends.begin(), ends.end()) > 50);  // every ending was seen
}

// --- btree_find ---

// Bulk-loads sorted keys into nodes of 15 keys; returns the root's offset.
uint64_t make_btree(Data& data, const std::map<uint64_t, uint64_t>& content,
                    std::mt19937_64& random) {
  struct Child {
    uint64_t low, offset;
  };
  uint64_t next = 256;
  std::vector<Child> level;
  for (auto it = content.begin(); it != content.end();) {
    const uint64_t node = next;
    next += 256;
    uint64_t count = 0;
    const uint64_t wanted = 1 + random() % 15;
    const uint64_t low = it->first;
    for (; count < wanted && it != content.end(); ++count, ++it) {
      data.word(node + 8 + 8 * count) = it->first;
      data.word(node + 128 + 8 * count) = it->second;
    }
    data.word(node) = count | 1 << 16;
    level.push_back({low, node});
  }
  while (level.size() > 1) {
    std::vector<Child> above;
    for (size_t i = 0; i < level.size();) {
      const uint64_t node = next;
      next += 256;
      const size_t children = std::min<size_t>(2 + random() % 15, level.size() - i);
      for (size_t c = 0; c < children; ++c) {
        if (c > 0) data.word(node + 8 * c) = level[i + c].low;
        data.word(node + 128 + 8 * c) = level[i + c].offset;
      }
      data.word(node) = children - 1;
      above.push_back({level[i].low, node});
      i += children;
    }
    level = above;
  }
  REQUIRE(next <= data.size());
  return level[0].offset;
}

TEST_CASE("btree_find finds what a map finds") {
  std::mt19937_64 random(4);
  for (const size_t size : {1, 15, 16, 300, 3000}) {
    std::map<uint64_t, uint64_t> content;
    while (content.size() < size)
      content[random() % 3 == 0 ? random() : random() % 10000] = random();
    Data data((size * 2 + 4) * 256);
    const uint64_t root = make_btree(data, content, random);
    for (const auto& [key, value] : content) {
      const Run found = run("btree_find", data, {root, key});
      REQUIRE(found.is_ok());
      REQUIRE(found.result(1) == 1);
      REQUIRE(found.result(0) == value);
      REQUIRE(found.outcome.counts.lines == 2 * found.result(2));
    }
    for (int i = 0; i < 500; ++i) {
      const uint64_t key = i == 0 ? 0 : i == 1 ? UINT64_MAX : random() % 10001;
      const Run found = run("btree_find", data, {root, key});
      REQUIRE(found.result(1) == content.count(key));
      REQUIRE(found.result(0) == (content.count(key) != 0 ? content[key] : 0));
    }
  }
}

TEST_CASE("btree_find gives up on what is no tree of its kind") {
  Data data(1024);
  data.word(256) = 16;  // more keys than a node holds
  CHECK(run("btree_find", data, {256, 1}).outcome.status == Status::kFailed);
  data.word(256) = 0;  // an inner node that is its own child
  data.word(256 + 128) = 256;
  const Run cycle = run("btree_find", data, {256, 1});
  CHECK(cycle.outcome.status == Status::kFailed);
  CHECK(cycle.outcome.code == 1);
  CHECK(cycle.outcome.counts.lines == 16);
}

// --- hash_find ---

TEST_CASE("hash_find finds what a map finds, in chains too") {
  std::mt19937_64 random(5);
  constexpr uint64_t kBits = 6, kBuckets = uint64_t{1} << kBits, kShift = 64 - kBits, kTable = 4096;
  Data data(kTable + 64 * 2000);
  uint64_t overflow = kTable + kBuckets * 64;
  std::map<uint64_t, uint64_t> content;
  while (content.size() < 800) content[random() | 1] = random();
  for (const auto& [key, value] : content) {
    uint64_t bucket = kTable + ((key * 0x9e3779b97f4a7c15) >> kShift) * 64;
    for (bool is_placed = false; !is_placed;) {
      for (uint64_t place = 0; place < 48 && !is_placed; place += 16) {
        if (data.word(bucket + place) != 0) continue;
        data.word(bucket + place) = key;
        data.word(bucket + place + 8) = value;
        is_placed = true;
      }
      if (is_placed) break;
      if (data.word(bucket + 48) == 0) {
        data.word(bucket + 48) = overflow;
        overflow += 64;
      }
      bucket = data.word(bucket + 48);
    }
  }
  uint64_t longest = 0;
  for (const auto& [key, value] : content) {
    const Run found = run("hash_find", data, {kTable, kShift, key});
    REQUIRE(found.is_ok());
    REQUIRE(found.result(1) == 1);
    REQUIRE(found.result(0) == value);
    REQUIRE(found.outcome.counts.lines == found.result(2));
    longest = std::max(longest, found.result(2));
  }
  CHECK(longest > 3);
  for (int i = 0; i < 500; ++i) {
    const uint64_t key = (random() | 1) - 1;  // even keys were never stored
    if (key == 0) continue;
    const Run found = run("hash_find", data, {kTable, kShift, key});
    REQUIRE(found.is_ok());
    REQUIRE(found.result(1) == 0);
    REQUIRE(found.result(0) == 0);
  }
}

TEST_CASE("hash_find gives up on a chain that never ends") {
  Data data(128);
  data.word(48) = 64;
  data.word(64 + 48) = 64;
  const Run endless = run("hash_find", data, {0, 63, 7});
  CHECK(endless.outcome.status == Status::kFailed);
  CHECK(endless.outcome.counts.lines == 32);
}

// --- all operators of the folder ---

TEST_CASE("the operators' sources state the bounds that are proved") {
  for (const BuiltinOperator& each : builtin_operators()) {
    INFO(each.name);
    const std::string path =
        std::string(TIARA_SOURCE_ROOT "/nic/operators/") + std::string(each.name) + ".tiara";
    CHECK(compare_with_source(path, library_operator(each.name).bounds()) == "");
  }
  for (const BuiltinOperator& each : peers::builtin_operators()) {
    INFO(each.name);
    const std::string path =
        std::string(TIARA_SOURCE_ROOT "/nic/operators/") + std::string(each.name) + ".tiara";
    const auto verified = verify(*deserialize(each.container));
    REQUIRE(verified);
    CHECK(compare_with_source(path, verified->bounds()) == "");
  }
}

}  // namespace
}  // namespace tiara::nic::operators
