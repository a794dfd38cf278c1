// The baselines find what the operators find, with as many round trips as their kind needs.
#include "pagetable/baseline.h"

#include <array>
#include <catch2/catch.hpp>
#include <random>

#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/counting_channel.h"
#include "pagetable/protocol.h"
#include "pagetable/remote_page_table.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::pagetable {
namespace {

nic::OperatorId find(nic::Channel& channel, std::string_view name) {
  const auto info = channel.info();
  REQUIRE(info);
  for (const auto& [each, id] : info->operators)
    if (each == name) return id;
  FAIL("no operator " << name);
  return {};
}

struct Setup {
  std::shared_ptr<nic::MemoryNode> node;
  std::unique_ptr<nic::Channel> inner;
  std::unique_ptr<CountingChannel> channel;
  std::unique_ptr<RemotePageTable> table;
  std::vector<uint64_t> pages;

  explicit Setup(uint32_t levels, bool allows_one_sided = true) {
    nic::NodeConfig config;
    config.pool.size = {16 * kMiB};
    config.pool.levels = levels;
    config.allows_one_sided = allows_one_sided;
    config.natives = baseline_operators();
    auto made = nic::MemoryNode::create(config, builtin_operators());
    REQUIRE(made);
    node = std::move(*made);
    inner = std::move(*nic::connect_loop(node));
    channel = std::make_unique<CountingChannel>(*inner);
    const uint64_t limit = nic::pool::max_pages_for(levels);
    table = std::move(*RemotePageTable::create(*channel, {limit}, Completion::kInCaller));
    std::mt19937_64 random(levels);
    for (int i = 0; i < 100; ++i) {
      pages.push_back(random() % limit);
      std::vector<std::byte> bytes(kPageSize);
      fill_page(bytes.data(), pages.back(), 1);
      const std::array<const std::byte*, 1> one{bytes.data()};
      REQUIRE(table->write({{pages.back()}, 1}, one) == StoreStatus::kOk);
    }
  }
};

TEST_CASE("every contestant translates alike, and the one-sided one needs a round trip a level") {
  for (uint32_t levels = 1; levels <= nic::pool::kMaxLevels; ++levels) {
    Setup setup(levels);
    auto reader = OneSidedReader::create(*setup.channel, setup.table->space());
    REQUIRE(reader);
    CHECK(reader->levels() == levels);
    const nic::OperatorId rpc = find(*setup.channel, kRpcWalk),
                          walk = find(*setup.channel, "pt_walk");
    for (const uint64_t page : setup.pages) {
      const std::array<uint64_t, 1> arguments{page};
      uint64_t before = setup.channel->round_trips();
      const auto one_sided = reader->walk({page});
      CHECK(setup.channel->round_trips() - before == levels);
      REQUIRE(one_sided.status == StoreStatus::kOk);
      REQUIRE(one_sided.entry != 0);
      before = setup.channel->round_trips();
      const auto by_rpc = setup.channel->call({rpc, setup.table->space(), arguments}, {});
      const auto by_operator = setup.channel->call({walk, setup.table->space(), arguments}, {});
      CHECK(setup.channel->round_trips() - before == 2);
      CHECK(by_rpc.outcome.results[kWalkEntry] == one_sided.entry);
      CHECK(by_operator.outcome.results[kWalkEntry] == one_sided.entry);
    }
  }
}

TEST_CASE("every contestant reads the same bytes") {
  Setup setup(4);
  auto reader = OneSidedReader::create(*setup.channel, setup.table->space());
  REQUIRE(reader);
  const nic::OperatorId rpc = find(*setup.channel, kRpcRead);
  for (const uint64_t page : setup.pages) {
    std::array<std::byte, kPageSize> out;
    uint64_t before = setup.channel->round_trips();
    CHECK(reader->read({page}, out).present == 1);
    CHECK(setup.channel->round_trips() - before == 5);
    CHECK(is_page(out.data(), page, 1));
    out.fill({});
    before = setup.channel->round_trips();
    CHECK(reader->read_at(reader->walk({page}).entry, out) == StoreStatus::kOk);
    CHECK(is_page(out.data(), page, 1));
    out.fill({});
    const std::array<uint64_t, 2> arguments{page, 1};
    const auto reply = setup.channel->call({rpc, setup.table->space(), arguments}, out);
    CHECK(reply.outcome.results[kReadPresent] == 1);
    CHECK(is_page(out.data(), page, 1));
  }
}

TEST_CASE("the RPC gathers a batch as pt_read does") {
  Setup setup(4);
  const nic::OperatorId rpc = find(*setup.channel, kRpcRead),
                        read = find(*setup.channel, "pt_read");
  for (uint64_t page = 500; page < 530; page += 3) {
    std::vector<std::byte> bytes(kPageSize);
    fill_page(bytes.data(), page, 2);
    const std::array<const std::byte*, 1> one{bytes.data()};
    REQUIRE(setup.table->write({{page}, 1}, one) == StoreStatus::kOk);
  }
  const std::array<uint64_t, 2> arguments{490, ~uint64_t{0}};
  std::vector<std::byte> a(kReplyRoom), b(kReplyRoom);
  const auto by_rpc = setup.channel->call({rpc, setup.table->space(), arguments}, a);
  const auto by_operator = setup.channel->call({read, setup.table->space(), arguments}, b);
  CHECK(by_rpc.outcome.results == by_operator.outcome.results);
  CHECK(by_rpc.outcome.reply_bytes == 10 * kPageSize);
  CHECK(by_operator.outcome.reply_bytes == 10 * kPageSize);
  CHECK(a == b);
}

TEST_CASE("absent pages and page numbers out of range end alike") {
  Setup setup(2);
  auto reader = OneSidedReader::create(*setup.channel, setup.table->space());
  REQUIRE(reader);
  uint64_t absent = 0;
  while (std::find(setup.pages.begin(), setup.pages.end(), absent) != setup.pages.end()) ++absent;
  CHECK(reader->walk({absent}).entry == 0);
  std::array<std::byte, kPageSize> out;
  CHECK(reader->read({absent}, out).present == 0);
  for (const char* name : {kRpcWalk, "pt_walk"}) {
    const nic::OperatorId id = find(*setup.channel, name);
    const std::array<uint64_t, 1> page{absent}, beyond{uint64_t{1} << 18};
    CHECK(setup.channel->call({id, setup.table->space(), page}, {}).outcome.results[kWalkEntry] ==
          0);
    const auto refused = setup.channel->call({id, setup.table->space(), beyond}, {});
    CHECK(refused.outcome.status == nic::Status::kFailed);
    CHECK(refused.outcome.code == static_cast<uint16_t>(nic::pool::FailReason::kPageRange));
  }
}

TEST_CASE("a node that was not started for baselines answers no one-sided read") {
  Setup setup(4, false);
  const auto reader = OneSidedReader::create(*setup.channel, setup.table->space());
  REQUIRE_FALSE(reader);
  CHECK(reader.error().message.find("--baselines") != std::string::npos);
}

}  // namespace
}  // namespace tiara::pagetable
