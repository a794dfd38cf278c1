// Clones and snapshots: related spaces against plain maps, alone and from many threads, with the
// node's own clone, reaping and destruction in between. The checker has the last word.
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <thread>

#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/remote_page_table.h"
#include "tests/unit/nic/operators/proved_bounds.h"
#include "tests/unit/pagetable/operators.h"
#include "tests/unit/pagetable/soundness.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;
using nic::CloneKind;

std::shared_ptr<nic::MemoryNode> make_node(uint64_t frames, uint32_t levels) {
  nic::NodeConfig config;
  config.pool = {PageCount{frames}.bytes(), levels, nic::PoolBacking::kPrivate};
  config.engine = test_engine();
  auto node = nic::MemoryNode::create(config, builtin_operators());
  REQUIRE(node);
  return std::move(*node);
}

// One address space and what must be in it.
class Side {
 public:
  Side(std::unique_ptr<nic::Channel> channel, std::unique_ptr<RemotePageTable> table)
      : channel_(std::move(channel)), table_(std::move(table)) {}

  static Side create(const std::shared_ptr<nic::MemoryNode>& node) {
    auto channel = nic::connect_loop(node);
    REQUIRE(channel);
    const PageCount pages{node->pool().max_pages()};
    auto table = RemotePageTable::create(**channel, pages, Completion::kInCaller);
    REQUIRE(table);
    return {std::move(*channel), std::move(*table)};
  }
  // As a child of a fork does it: another channel adopts what this one had cloned.
  Side fork(const std::shared_ptr<nic::MemoryNode>& node) {
    const auto clone = table_->clone(CloneKind::kClone);
    REQUIRE(clone);
    auto channel = nic::connect_loop(node);
    REQUIRE(channel);
    auto table =
        RemotePageTable::adopt(**channel, *clone, table_->max_pages(), Completion::kInCaller);
    REQUIRE(table);
    Side child(std::move(*channel), std::move(*table));
    child.model_ = model_;
    return child;
  }

  // Empty when all went as the model says.
  std::string write(uint64_t page, uint64_t version) {
    alignas(8) std::byte bytes[kPageSize];
    fill_page(bytes, page, version);
    const std::byte* const pages[] = {bytes};
    StoreStatus status = StoreStatus::kContended;
    for (int i = 0; i < 100 && status == StoreStatus::kContended; ++i)
      status = table_->write({PageNumber{page}, 1}, pages);
    if (status == StoreStatus::kNodeFull) return "full";
    if (status != StoreStatus::kOk) return "a write failed";
    model_[page] = version;
    return {};
  }
  std::string discard(uint64_t page, uint64_t count) {
    if (table_->discard({PageNumber{page}, PageCount{count}}) != StoreStatus::kOk)
      return "a discard failed";
    model_.erase(model_.lower_bound(page), model_.lower_bound(page + count));
    return {};
  }
  std::string read(uint64_t page) const {
    alignas(8) std::byte bytes[kPageSize];
    ReadResult got{StoreStatus::kContended, 0};
    for (int i = 0; i < 100 && got.status == StoreStatus::kContended; ++i)
      got = table_->read({PageNumber{page}, 1}, bytes);
    if (got.status != StoreStatus::kOk) return "a read failed";
    const auto known = model_.find(page);
    if ((got.present != 0) != (known != model_.end())) return "presence is wrong";
    if (got.present != 0 && !is_page(bytes, page, known->second)) return "content is wrong";
    return {};
  }
  std::string read_everything() const {
    for (const auto& [page, version] : model_)
      if (std::string wrong = read(page); !wrong.empty()) return wrong;
    const auto usage = table_->usage();
    return usage && usage->pages.value == model_.size() ? std::string() : "the count is wrong";
  }

  size_t pages() const { return model_.size(); }
  nic::AddressSpaceId space() const { return table_->space(); }
  nic::Channel& channel() { return *channel_; }
  RemotePageTable& table() { return *table_; }

 private:
  std::unique_ptr<nic::Channel> channel_;  // outlives the table
  std::unique_ptr<RemotePageTable> table_;
  std::map<uint64_t, uint64_t> model_;
};

// Numbers that cluster in a few places, far apart, so that every level has shared and own tables.
uint64_t pick_page(std::mt19937_64& random, uint64_t max_pages) {
  const uint64_t clusters = max_pages / 4;
  return random() % 4 * clusters + random() % std::min<uint64_t>(40, clusters);
}

std::string step(Side& side, std::mt19937_64& random, uint64_t max_pages, uint64_t version) {
  const uint64_t page = pick_page(random, max_pages);
  switch (random() % 8) {
    case 0:
    case 1:
    case 2: return side.write(page, version);
    case 3: return side.discard(page, std::min(1 + random() % 30, max_pages - page));
    default: return side.read(page);
  }
}

TEST_CASE("the clone operator keeps within the bounds that its comment states") {
  const std::string path = std::string(TIARA_SOURCE_ROOT) + "/pagetable/pt_clone.tiara";
  CHECK(nic::operators::compare_with_source(path, builtin("pt_clone").bounds()) == "");
}

TEST_CASE("a clone shares everything, and each side keeps its own pages afterwards") {
  for (uint32_t levels = 1; levels <= layout::kMaxLevels; ++levels) {
    INFO("levels " << levels);
    const auto node = make_node(layout::kFirstDataFrame + 600, levels);
    Side parent = Side::create(node);
    for (uint64_t page = 0; page < 20; ++page) REQUIRE(parent.write(page, 1) == "");
    const uint64_t used = node->pool().stats().in_use.value;
    Side child = parent.fork(node);
    CHECK(node->pool().stats().in_use.value == used);  // not a frame more
    require_sound(node->pool().bytes());
    REQUIRE(parent.write(3, 2) == "");
    CHECK(node->pool().stats().in_use.value == used + levels + 1);  // the path, and the page
    REQUIRE(child.write(3, 3) == "");
    REQUIRE(child.discard(5, 2) == "");
    REQUIRE(parent.write(30, 4) == "");
    CHECK(parent.read_everything() == "");
    CHECK(child.read_everything() == "");
    CHECK(require_sound(node->pool().bytes()).pages == parent.pages() + child.pages());
  }
}

TEST_CASE("a frame goes back when its last owner gives it up, whoever that is") {
  const auto node = make_node(layout::kFirstDataFrame + 600, 3);
  {
    Side child = [&] {
      Side parent = Side::create(node);
      for (uint64_t page = 0; page < 50; ++page) REQUIRE(parent.write(page, 1) == "");
      Side made = parent.fork(node);
      for (uint64_t page = 0; page < 25; ++page) REQUIRE(parent.write(page, 2) == "");
      require_sound(node->pool().bytes());
      return made;
    }();  // the parent is gone
    CHECK(require_sound(node->pool().bytes()).pages == 50);
    CHECK(node->pool().stats().in_use.value == 50 + 3);
    CHECK(child.read_everything() == "");
    for (uint64_t page = 0; page < 50; ++page) REQUIRE(child.write(page, 3) == "");
    CHECK(node->pool().stats().in_use.value == 50 + 3);
    CHECK(child.read_everything() == "");
  }
  CHECK(require_sound(node->pool().bytes()).live_spaces == 0);
  CHECK(node->pool().stats().in_use.value == 0);
}

TEST_CASE("an empty space can be cloned, and a clone of a clone is its own") {
  const auto node = make_node(layout::kFirstDataFrame + 300, 4);
  Side first = Side::create(node);
  Side second = first.fork(node);
  REQUIRE(second.write(9, 1) == "");
  Side third = second.fork(node);
  REQUIRE(third.write(9, 2) == "");
  REQUIRE(first.write(9, 3) == "");
  for (const Side* side : {&first, &second, &third}) CHECK(side->read_everything() == "");
  require_sound(node->pool().bytes());
}

TEST_CASE("a snapshot refuses changes, can be read, and can be cloned") {
  const auto node = make_node(layout::kFirstDataFrame + 300, 4);
  Side side = Side::create(node);
  REQUIRE(side.write(1, 1) == "");
  const auto snapshot = side.table().clone(CloneKind::kSnapshot);
  REQUIRE(snapshot);
  REQUIRE(side.write(1, 2) == "");
  auto channel = nic::connect_loop(node);
  REQUIRE(channel);
  auto frozen = RemotePageTable::adopt(**channel, *snapshot, side.table().max_pages(),
                                       Completion::kInCaller);
  REQUIRE(frozen);
  alignas(8) std::byte bytes[kPageSize];
  CHECK((*frozen)->read({PageNumber{1}, 1}, bytes).present == 1);
  CHECK(is_page(bytes, 1, 1));
  const std::byte* const pages[] = {bytes};
  CHECK((*frozen)->write({PageNumber{1}, 1}, pages) == StoreStatus::kCorrupt);
  CHECK((*frozen)->discard({PageNumber{0}, PageCount{9}}) == StoreStatus::kCorrupt);
  const auto restored = (*frozen)->clone(CloneKind::kClone);
  REQUIRE(restored);
  require_sound(node->pool().bytes());
}

TEST_CASE("a clone is adopted once, with its ticket only, and is nobody else's before") {
  const auto node = make_node(layout::kFirstDataFrame + 300, 4);
  Side side = Side::create(node);
  auto channel = nic::connect_loop(node);
  REQUIRE(channel);
  CHECK_FALSE((*channel)->clone_space(side.space(), CloneKind::kClone));  // not this session's
  auto clone = side.table().clone(CloneKind::kClone);
  REQUIRE(clone);
  nic::ClonedSpace forged = *clone;
  forged.ticket.words[1] ^= 1;
  CHECK_FALSE((*channel)->adopt_space(forged));
  CHECK_FALSE((*channel)->adopt_space({side.space(), {}}));
  CHECK_FALSE((*channel)->destroy_space(clone->space));
  CHECK((*channel)->adopt_space(*clone));
  CHECK_FALSE((*channel)->adopt_space(*clone));
  CHECK_FALSE(side.channel().destroy_space(clone->space));
  CHECK((*channel)->destroy_space(clone->space));
}

TEST_CASE("clients cannot call the clone operator themselves") {
  const auto node = make_node(layout::kFirstDataFrame + 300, 4);
  Side side = Side::create(node);
  const auto info = side.channel().info();
  REQUIRE(info);
  for (const auto& [name, id] : info->operators) CHECK(name != "pt_clone");
  for (uint32_t id = 1; id < 64; ++id) {
    const bool is_listed = std::ranges::any_of(
        info->operators, [id](const auto& each) { return each.second.value == id; });
    if (is_listed) continue;
    const std::array<uint64_t, 1> target{layout::descriptor_offset(7)};
    const auto reply = side.channel().call({{id}, side.space(), target}, {});
    CHECK(reply.outcome.status == nic::Status::kRefused);
  }
}

TEST_CASE("random calls on related spaces do what maps do, at every depth") {
  for (uint32_t levels = 1; levels <= layout::kMaxLevels; ++levels) {
    const auto node = make_node(layout::kFirstDataFrame + 4000, levels);
    const uint64_t max_pages = layout::max_pages_for(levels);
    std::mt19937_64 random(levels);
    std::vector<Side> family;
    family.push_back(Side::create(node));
    for (uint64_t i = 1; i < steps_of(2500); ++i) {
      INFO("levels " << levels << ", step " << i);
      if (random() % 60 == 0 && family.size() < 6) {
        family.push_back(family[random() % family.size()].fork(node));
      } else if (random() % 150 == 0 && family.size() > 1) {
        std::swap(family[random() % family.size()], family.back());
        family.pop_back();
      }
      REQUIRE(step(family[random() % family.size()], random, max_pages, i) == "");
      if (i % 250 == 0) require_sound(node->pool().bytes());
    }
    for (const Side& side : family) CHECK(side.read_everything() == "");
    require_sound(node->pool().bytes());
    family.clear();
    CHECK(require_sound(node->pool().bytes()).live_spaces == 0);
    CHECK(node->pool().stats().in_use.value == 0);
  }
}

TEST_CASE("a family in a pool that is always nearly full loses nothing") {
  const auto node = make_node(layout::kFirstDataFrame + std::max<uint64_t>(steps_of(160), 80), 4);
  const uint64_t max_pages = layout::max_pages_for(4);
  std::mt19937_64 random(5);
  std::vector<Side> family;
  family.push_back(Side::create(node));
  uint64_t full = 0;
  for (uint64_t i = 1; i < std::max<uint64_t>(steps_of(4000), 250); ++i) {
    if (random() % 60 == 0 && family.size() < 4)
      family.push_back(family[random() % family.size()].fork(node));
    else if (random() % 100 == 0 && family.size() > 1)
      family.pop_back();
    Side& side = family[random() % family.size()];
    const uint64_t page = pick_page(random, max_pages);
    if (random() % 2 == 0) {
      const std::string wrong = side.write(page, i);
      if (wrong == "full")
        ++full;
      else
        REQUIRE(wrong == "");
    } else {
      REQUIRE(side.read(page) == "");
    }
    if (full % 5 == 4 && family.size() > 1) family.pop_back();
    if (i % 250 == 0) require_sound(node->pool().bytes());
  }
  CHECK(full >= steps_of(11));
  for (const Side& side : family) CHECK(side.read_everything() == "");
  require_sound(node->pool().bytes());
}

// Threads on the sides of one family: all copy the same tables at the same moments, while another
// side comes and goes. Nothing may stay behind.
TEST_CASE("sides that write at the same time each find their own pages, and leave no frame behind") {
  constexpr uint32_t kSides = 4;
  for (uint32_t round = 0; round < std::max<uint64_t>(steps_of(12), 4); ++round) {
    const uint32_t levels = 2 + round % 4;
    const uint64_t max_pages = layout::max_pages_for(levels);
    const auto node = make_node(layout::kFirstDataFrame + 4000, levels);
    std::mt19937_64 seeds(round);
    std::vector<Side> family;
    family.push_back(Side::create(node));
    for (uint64_t i = 0; i < steps_of(300); ++i)
      REQUIRE(family[0].write(pick_page(seeds, max_pages), 1) == "");
    while (family.size() < kSides) family.push_back(family[0].fork(node));
    std::array<std::string, kSides> wrong;
    {
      std::vector<std::jthread> threads;
      for (uint32_t i = 0; i < kSides; ++i)
        threads.emplace_back([&, i, seed = seeds()] {
          std::mt19937_64 random(seed);
          for (uint64_t n = 0; n < steps_of(250) && wrong[i].empty(); ++n)
            wrong[i] = step(family[i], random, max_pages, n * kSides + i + 2);
          if (wrong[i].empty()) wrong[i] = family[i].read_everything();
        });
    }
    for (uint32_t i = 0; i < kSides; ++i) CHECK(wrong[i] == "");
    require_sound(node->pool().bytes());
    family.clear();
    require_sound(node->pool().bytes());
    CHECK(node->pool().stats().in_use.value == 0);
  }
}

// Threads of one side beside those of its clone: the tables of a side are copied by several of its
// own threads at once, and cloned under way.
TEST_CASE("threads that share a side, and clones taken under way, agree with the maps") {
  constexpr uint32_t kThreads = 4;
  const auto node = make_node(layout::kFirstDataFrame + 8000, 3);
  const uint64_t max_pages = layout::max_pages_for(3);
  Side side = Side::create(node);
  alignas(8) static std::byte zero[kPageSize] = {};
  std::array<std::string, kThreads> wrong;
  std::array<std::map<uint64_t, uint64_t>, kThreads> models;
  std::atomic<bool> is_over{false};
  {
    std::vector<std::jthread> threads;
    for (uint32_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        std::mt19937_64 random(i);
        alignas(8) std::byte bytes[kPageSize];
        for (uint64_t n = 1; n < steps_of(800) && wrong[i].empty(); ++n) {
          // Pages of this thread: their number is i modulo kThreads.
          const uint64_t page = pick_page(random, max_pages) / kThreads * kThreads + i;
          const std::byte* const pages[] = {bytes};
          if (random() % 2 == 0) {
            fill_page(bytes, page, n);
            StoreStatus status = StoreStatus::kContended;
            for (int t = 0; t < 100 && status == StoreStatus::kContended; ++t)
              status = side.table().write({PageNumber{page}, 1}, pages);
            if (status != StoreStatus::kOk) wrong[i] = "a write failed";
            models[i][page] = n;
          } else {
            ReadResult got{StoreStatus::kContended, 0};
            for (int t = 0; t < 100 && got.status == StoreStatus::kContended; ++t)
              got = side.table().read({PageNumber{page}, 1}, bytes);
            const auto known = models[i].find(page);
            if (got.status != StoreStatus::kOk) wrong[i] = "a read failed";
            else if ((got.present != 0) != (known != models[i].end())) wrong[i] = "presence is wrong";
            else if (got.present != 0 && !is_page(bytes, page, known->second))
              wrong[i] = "content is wrong";
          }
        }
      });
    threads.emplace_back([&] {
      // Clones that are written to and go again.
      auto channel = nic::connect_loop(node);
      const std::byte* const pages[] = {zero};
      std::mt19937_64 random(77);
      while (!is_over.load()) {
        const auto clone = side.table().clone(CloneKind::kClone);
        if (!clone || !channel) break;
        auto table = RemotePageTable::adopt(**channel, *clone, PageCount{max_pages},
                                            Completion::kInCaller);
        if (!table) break;
        for (int n = 0; n < 20; ++n)
          (void)(*table)->write({PageNumber{pick_page(random, max_pages)}, 1}, pages);
      }
    });
    for (uint32_t i = 0; i < kThreads; ++i) threads[i].join();
    is_over.store(true);
  }
  for (uint32_t i = 0; i < kThreads; ++i) {
    CHECK(wrong[i] == "");
    alignas(8) std::byte bytes[kPageSize];
    for (const auto& [page, version] : models[i]) {
      REQUIRE(side.table().read({PageNumber{page}, 1}, bytes).present == 1);
      REQUIRE(is_page(bytes, page, version));
    }
  }
  CHECK(require_sound(node->pool().bytes()).live_spaces == 1);
}

}  // namespace
}  // namespace tiara::pagetable
