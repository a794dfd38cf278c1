// RemotePageTable against a channel that answers from a script (what the world can do to it), and
// against a real node in this process.
#include "pagetable/remote_page_table.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <random>
#include <thread>

#include "nic/node/server.h"
#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/checker.h"
#include "pagetable/counting_channel.h"
#include "pagetable/protocol.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::pagetable {
namespace {

using nic::pool::FailReason;

// --- a channel with a script ---

struct Sent {
  uint32_t operation;
  std::vector<uint64_t> arguments;
  size_t payload_bytes;
};

nic::Reply answer(nic::Status status, uint16_t code, std::array<uint64_t, 4> results = {},
                  uint64_t reply_bytes = 0) {
  nic::Reply reply{nic::CallStatus::kAnswered, {}};
  reply.outcome.status = status;
  reply.outcome.code = code;
  reply.outcome.results = results;
  reply.outcome.reply_bytes = reply_bytes;
  return reply;
}
nic::Reply ok(std::array<uint64_t, 4> results, uint64_t reply_bytes = 0) {
  return answer(nic::Status::kOk, 0, results, reply_bytes);
}
nic::Reply partial(uint64_t missing, FailReason reason) {
  return ok({missing, reason_word(reason)});
}
nic::Reply overloaded() {
  return answer(nic::Status::kRefused, static_cast<uint16_t>(nic::Refusal::kOverloaded));
}
nic::Reply lost() {
  return {};
}

// Answers in order; the last answer is repeated. Everything that was sent is kept.
class ScriptedChannel final : public nic::Channel {
 public:
  std::deque<nic::Reply> script;
  std::vector<Sent> sent;
  bool is_gone = false;
  bool is_full = false;
  std::vector<std::pair<std::string, nic::OperatorId>> operators{
      {"pt_read", {1}}, {"pt_write", {2}}, {"pt_discard", {3}}, {"pt_chase", {5}}, {"pt_stat", {4}}};
  uint64_t max_pages = 1 << 20;
  bool is_space_destroyed = false;

  nic::Reply call(const nic::Request& request, std::span<std::byte>) noexcept override {
    size_t bytes = 0;
    for (const auto& part : request.payload) bytes += part.size();
    sent.push_back(
        {request.operation.value, {request.arguments.begin(), request.arguments.end()}, bytes});
    const nic::Reply reply = script.front();
    if (script.size() > 1) script.pop_front();
    return reply;
  }
  nic::Ticket post(const nic::Request& request, std::span<std::byte> room) noexcept override {
    if (is_gone || is_full) return {};
    posted_ = call(request, room);
    return {17};
  }
  bool is_done(nic::Ticket) noexcept override { return true; }
  nic::Reply collect(nic::Ticket ticket) noexcept override {
    return ticket.value == 17 ? posted_ : nic::Reply{};
  }
  bool is_lost() const noexcept override { return is_gone; }
  Result<nic::NodeInfo> info() override { return nic::NodeInfo{{}, {}, 4, max_pages, operators}; }
  Result<nic::AddressSpaceId> create_space(uint64_t) override { return nic::AddressSpaceId{5}; }
  Result<void> destroy_space(nic::AddressSpaceId) override {
    is_space_destroyed = true;
    return {};
  }
  Result<nic::OperatorId> register_operator(std::span<const std::byte>) override {
    return fail(ErrorCode::kUnsupported, "scripted");
  }
  std::vector<int> descriptors() const override { return {}; }

 private:
  nic::Reply posted_;
};

std::unique_ptr<RemotePageTable> open(nic::Channel& channel) {
  auto table = RemotePageTable::create(channel, {1000}, Completion::kAtNode);
  REQUIRE(table);
  return std::move(*table);
}

std::vector<const std::byte*> pointers(size_t count) {
  static const std::vector<std::byte> page(kPageSize);
  return std::vector<const std::byte*>(count, page.data());
}

TEST_CASE("a node without the page-table operators, or with a smaller table, is refused in words") {
  ScriptedChannel channel;
  channel.operators.pop_back();
  const auto lacks = RemotePageTable::create(channel, {1000}, Completion::kAtNode);
  REQUIRE_FALSE(lacks);
  CHECK(lacks.error().code == ErrorCode::kUnsupported);
  CHECK(lacks.error().message.find("pt_stat") != std::string::npos);
  ScriptedChannel small;
  small.max_pages = 999;
  const auto too_small = RemotePageTable::create(small, {1000}, Completion::kAtNode);
  REQUIRE_FALSE(too_small);
  CHECK(too_small.error().code == ErrorCode::kResourceExhausted);
}

TEST_CASE("the address space is given back, but not to a node that is lost") {
  ScriptedChannel channel;
  open(channel).reset();
  CHECK(channel.is_space_destroyed);
  ScriptedChannel gone;
  auto table = open(gone);
  gone.is_gone = true;
  table.reset();
  CHECK_FALSE(gone.is_space_destroyed);
}

TEST_CASE("a contended write sends again what is missing, and only that") {
  ScriptedChannel channel;
  auto table = open(channel);
  channel.script = {partial(0b1010, FailReason::kContended), overloaded(), ok({0, 0})};
  CHECK(table->write({{64}, 0b1110}, pointers(3)) == StoreStatus::kOk);
  REQUIRE(channel.sent.size() == 3);
  CHECK(channel.sent[0].arguments == std::vector<uint64_t>{64, 0b1110});
  CHECK(channel.sent[0].payload_bytes == 3 * kPageSize);
  for (size_t i = 1; i < 3; ++i) {
    CHECK(channel.sent[i].arguments == std::vector<uint64_t>{64, 0b1010});
    CHECK(channel.sent[i].payload_bytes == 2 * kPageSize);
  }
}

TEST_CASE("a store that stays contended says so after a bounded number of tries") {
  ScriptedChannel channel;
  auto table = open(channel);
  channel.script = {partial(1, FailReason::kContended)};
  CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kContended);
  CHECK(channel.sent.size() == kContendedAttempts);
  channel.sent.clear();
  channel.script = {ok({0, 0, reason_word(FailReason::kContended)})};
  CHECK(table->discard({{0}, {10}}) == StoreStatus::kContended);
  CHECK(channel.sent.size() == kContendedAttempts);
  channel.sent.clear();
  channel.script = {overloaded()};
  std::vector<std::byte> out(kPageSize);
  CHECK(table->read({{0}, 1}, out).status == StoreStatus::kContended);
  CHECK(channel.sent.size() == kContendedAttempts);
}

TEST_CASE("a full node and a lost node are told apart, and neither is asked again") {
  ScriptedChannel channel;
  auto table = open(channel);
  std::vector<std::byte> out(kPageSize);
  channel.script = {partial(1, FailReason::kNoMemory)};
  CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kNodeFull);
  channel.script = {lost()};
  CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kNodeLost);
  CHECK(table->read({{0}, 1}, out).status == StoreStatus::kNodeLost);
  CHECK(table->discard({{0}, {1}}) == StoreStatus::kNodeLost);
  CHECK_FALSE(table->usage());
  CHECK(channel.sent.size() == 5);
}

TEST_CASE("answers that no right node gives are corrupt") {
  ScriptedChannel channel;
  auto table = open(channel);
  std::vector<std::byte> out(2 * kPageSize);
  SECTION("a page that was not asked for") {
    channel.script = {ok({4}, kPageSize)};
    CHECK(table->read({{0}, 3}, out).status == StoreStatus::kCorrupt);
  }
  SECTION("a reply that is not as long as its pages") {
    channel.script = {ok({3}, kPageSize)};
    CHECK(table->read({{0}, 3}, out).status == StoreStatus::kCorrupt);
  }
  SECTION("a fault") {
    channel.script = {answer(nic::Status::kFault, 1)};
    CHECK(table->read({{0}, 3}, out).status == StoreStatus::kCorrupt);
    CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kCorrupt);
  }
  SECTION("a refusal") {
    channel.script = {
        answer(nic::Status::kRefused, static_cast<uint16_t>(nic::Refusal::kArgumentRange))};
    CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kCorrupt);
  }
  SECTION("pages missing without a reason, or a reason without missing pages") {
    channel.script = {ok({1, 0})};
    CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kCorrupt);
    channel.script = {partial(0, FailReason::kNoMemory)};
    CHECK(table->write({{0}, 1}, pointers(1)) == StoreStatus::kCorrupt);
  }
  SECTION("a discard that goes backwards, nowhere, or too far") {
    for (const uint64_t next : {uint64_t{9}, uint64_t{10}, uint64_t{21}}) {
      channel.script = {ok({0, next, 0})};
      CHECK(table->discard({{10}, {10}}) == StoreStatus::kCorrupt);
    }
  }
}

TEST_CASE("a discard goes on from where the node stopped") {
  ScriptedChannel channel;
  auto table = open(channel);
  channel.script = {ok({3, 512, 0}), ok({0, 512, reason_word(FailReason::kContended)}),
                    ok({1, 900, 0})};
  CHECK(table->discard({{100}, {800}}) == StoreStatus::kOk);
  REQUIRE(channel.sent.size() == 3);
  CHECK(channel.sent[0].arguments == std::vector<uint64_t>{100, 800});
  CHECK(channel.sent[1].arguments == std::vector<uint64_t>{512, 388});
  CHECK(channel.sent[2].arguments == std::vector<uint64_t>{512, 388});
  CHECK(table->discard({{100}, {0}}) == StoreStatus::kOk);
  CHECK(channel.sent.size() == 3);
}

TEST_CASE("posted writes give the status of their answer") {
  ScriptedChannel channel;
  auto table = open(channel);
  const auto post = [&] { return table->post_write({{0}, 3}, pointers(2)); };
  channel.script = {ok({0, 0})};
  CHECK(table->collect(post()) == StoreStatus::kOk);
  channel.script = {partial(2, FailReason::kContended)};
  CHECK(table->collect(post()) == StoreStatus::kContended);
  channel.script = {partial(3, FailReason::kNoMemory)};
  CHECK(table->collect(post()) == StoreStatus::kNodeFull);
  channel.script = {lost()};
  CHECK(table->collect(post()) == StoreStatus::kNodeLost);
  channel.is_full = true;
  CHECK_FALSE(post().is_valid());
  channel.is_gone = true;
  const auto pending = post();  // valid, so that nobody waits for a slot of a node that is gone
  REQUIRE(pending.is_valid());
  CHECK(table->is_done(pending));
  CHECK(table->collect(pending) == StoreStatus::kNodeLost);
}

// --- a real node in this process ---

struct EmbeddedNode {
  std::shared_ptr<nic::MemoryNode> node;
  std::unique_ptr<nic::Channel> inner;
  std::unique_ptr<CountingChannel> channel;

  explicit EmbeddedNode(uint32_t levels = 4, Bytes pool = {16 * kMiB}) {
    nic::NodeConfig config;
    config.pool.size = pool;
    config.pool.levels = levels;
    config.engine = test_engine();
    auto made = nic::MemoryNode::create(config, builtin_operators());
    REQUIRE(made);
    node = std::move(*made);
    auto connected = nic::connect_loop(node);
    REQUIRE(connected);
    inner = std::move(*connected);
    channel = std::make_unique<CountingChannel>(*inner);
  }
  CheckReport check() const { return check_pool(node->pool().bytes()); }
};

std::vector<std::byte> page_of(uint64_t page, uint64_t version) {
  std::vector<std::byte> bytes(kPageSize);
  fill_page(bytes.data(), page, version);
  return bytes;
}

TEST_CASE("pages live on a node: stored, read, counted, forgotten, in one round trip each") {
  for (uint32_t levels = 1; levels <= nic::pool::kMaxLevels; ++levels) {
    EmbeddedNode remote(levels);
    const uint64_t pages = nic::pool::max_pages_for(levels);
    auto table = RemotePageTable::create(*remote.channel, {pages}, Completion::kInCaller);
    REQUIRE(table);
    CHECK((*table)->is_synchronous());
    const auto a = page_of(pages - 2, 1), b = page_of(pages - 1, 1);
    const std::array<const std::byte*, 2> both{a.data(), b.data()};
    CHECK((*table)->write({{pages - 2}, 3}, both) == StoreStatus::kOk);
    std::vector<std::byte> out(2 * kPageSize);
    const ReadResult read = (*table)->read({{pages - 2}, 3}, out);
    CHECK(read.status == StoreStatus::kOk);
    CHECK(read.present == 3);
    CHECK(is_page(out.data(), pages - 2, 1));
    CHECK(is_page(out.data() + kPageSize, pages - 1, 1));
    CHECK(remote.channel->round_trips() == 2);
    const auto usage = (*table)->usage();
    REQUIRE(usage);
    CHECK(usage->pages.value == 2);
    CHECK(usage->tables.value == levels);
    CHECK((*table)->discard({{pages - 1}, {1}}) == StoreStatus::kOk);
    CHECK((*table)->read({{pages - 2}, 3}, out).present == 1);
    CHECK(remote.check().is_sound());
    table->reset();
    CHECK(remote.node->pool().stats().in_use.value == 0);
    CHECK(remote.check().is_sound());
  }
}

TEST_CASE("forgetting a sparse terabyte takes as many calls as there are tables, not pages") {
  EmbeddedNode remote;
  auto table = RemotePageTable::create(*remote.channel, {uint64_t{1} << 36}, Completion::kInCaller);
  REQUIRE(table);
  for (const uint64_t page : {uint64_t{5}, uint64_t{1} << 20, uint64_t{200} << 20}) {
    const auto bytes = page_of(page, 1);
    const std::array<const std::byte*, 1> one{bytes.data()};
    REQUIRE((*table)->write({{page}, 1}, one) == StoreStatus::kOk);
  }
  const uint64_t before = remote.channel->round_trips();
  CHECK((*table)->discard({{0}, {uint64_t{1} << 28}}) == StoreStatus::kOk);
  CHECK(remote.channel->round_trips() - before < 3 * 1100);
  CHECK((*table)->usage()->pages.value == 0);
  CHECK(remote.check().is_sound());
}

TEST_CASE("posted writes on a real node store their pages") {
  EmbeddedNode remote;
  auto table = RemotePageTable::create(*remote.channel, {4096}, Completion::kInCaller);
  REQUIRE(table);
  for (uint64_t page = 0; page < 100; ++page) {
    auto bytes = page_of(page, 3);
    const std::array<const std::byte*, 1> one{bytes.data()};
    const auto pending = (*table)->post_write({{page}, 1}, one);
    std::fill(bytes.begin(), bytes.end(), std::byte{0});  // the bytes were copied
    REQUIRE(pending.is_valid());
    CHECK((*table)->collect(pending) == StoreStatus::kOk);
  }
  std::vector<std::byte> out(kPageSize);
  for (uint64_t page = 0; page < 100; ++page) {
    REQUIRE((*table)->read({{page}, 1}, out).present == 1);
    CHECK(is_page(out.data(), page, 3));
  }
}

TEST_CASE("a node that fills up keeps what it stored") {
  EmbeddedNode remote(4, {2 * kMiB});
  auto table = RemotePageTable::create(*remote.channel, {100000}, Completion::kInCaller);
  REQUIRE(table);
  uint64_t stored = 0;
  for (;; ++stored) {
    const auto bytes = page_of(stored, 1);
    const std::array<const std::byte*, 1> one{bytes.data()};
    const StoreStatus status = (*table)->write({{stored}, 1}, one);
    if (status != StoreStatus::kOk) {
      CHECK(status == StoreStatus::kNodeFull);
      break;
    }
    REQUIRE(stored < 1000);
  }
  CHECK(stored > 100);
  std::vector<std::byte> out(kPageSize);
  for (uint64_t page = 0; page < stored; ++page) {
    REQUIRE((*table)->read({{page}, 1}, out).present == 1);
    REQUIRE(is_page(out.data(), page, 1));
  }
  CHECK(remote.check().is_sound());
}

TEST_CASE("many threads share one page table") {
  EmbeddedNode remote;
  auto made = RemotePageTable::create(*remote.channel, {uint64_t{1} << 30}, Completion::kInCaller);
  REQUIRE(made);
  RemotePageTable& table = **made;
  constexpr uint64_t kThreads = 4;
  std::array<bool, kThreads> is_wrong{};
  {
    std::vector<std::jthread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        std::mt19937_64 random(thread);
        std::map<uint64_t, uint64_t> model;
        std::vector<std::byte> out(kPageSize);
        for (uint64_t version = 1; version < steps_of(1500); ++version) {
          const uint64_t page =
              random() % 3 * (uint64_t{1} << 25) + random() % 100 * kThreads + thread;
          const auto known = model.find(page);
          const ReadResult read = table.read({{page}, 1}, out);
          if (read.status != StoreStatus::kOk || (read.present != 0) != (known != model.end()))
            is_wrong[thread] = true;
          if (read.present != 0 && !is_page(out.data(), page, known->second))
            is_wrong[thread] = true;
          if (known != model.end() && random() % 3 == 0) {
            if (table.discard({{page}, {1}}) != StoreStatus::kOk) is_wrong[thread] = true;
            model.erase(known);
            continue;
          }
          const auto bytes = page_of(page, version);
          const std::array<const std::byte*, 1> one{bytes.data()};
          if (table.write({{page}, 1}, one) != StoreStatus::kOk) is_wrong[thread] = true;
          model[page] = version;
        }
      });
  }
  for (const bool wrong : is_wrong) CHECK_FALSE(wrong);
  CHECK(remote.check().is_sound());
}

TEST_CASE("posted writes overlap over shared memory, and a node that goes away fails them all") {
  nic::NodeConfig config;
  config.pool.size = {16 * kMiB};
  config.engine = test_engine();
  auto node = nic::MemoryNode::create(config, builtin_operators());
  REQUIRE(node);
  const std::string path = "/tmp/tiara-unit-pagetable-" + std::to_string(getpid());
  auto server = nic::serve("shm://" + path, **node, nic::ServerConfig{});
  REQUIRE(server);
  auto channel = nic::connect("shm://" + path, nic::ConnectOptions{});
  REQUIRE(channel);
  auto made = RemotePageTable::create(**channel, {1 << 20}, Completion::kAtNode);
  REQUIRE(made);
  RemotePageTable& table = **made;
  std::deque<std::pair<uint64_t, PageStore::PendingWrite>> pending;
  const auto collect_first = [&] {
    CHECK(table.collect(pending.front().second) == StoreStatus::kOk);
    pending.pop_front();
  };
  size_t most_pending = 0;
  for (uint64_t page = 0; page < 400; page += 4) {
    std::vector<std::byte> bytes(4 * kPageSize);
    std::array<const std::byte*, 4> four;
    for (uint64_t i = 0; i < 4; ++i) {
      four[i] = bytes.data() + i * kPageSize;
      fill_page(bytes.data() + i * kPageSize, page + i, 5);
    }
    auto posted = table.post_write({{page}, 0xf}, four);
    while (!posted.is_valid()) {
      REQUIRE_FALSE(pending.empty());
      collect_first();
      posted = table.post_write({{page}, 0xf}, four);
    }
    pending.emplace_back(page, posted);
    most_pending = std::max(most_pending, pending.size());
  }
  while (!pending.empty()) collect_first();
  CHECK(most_pending > 1);
  std::vector<std::byte> out(64 * kPageSize);
  for (uint64_t page = 0; page < 400; page += 50) {
    const uint64_t bitmap = (uint64_t{1} << 50) - 1;
    REQUIRE(table.read({{page}, bitmap}, out).present == bitmap);
    for (uint64_t i = 0; i < 50; ++i) CHECK(is_page(out.data() + i * kPageSize, page + i, 5));
  }
  CHECK(table.usage()->pages.value == 400);

  server->reset();
  const std::array<const std::byte*, 1> one{out.data()};
  const auto late = table.post_write({{0}, 1}, one);
  REQUIRE(late.is_valid());
  CHECK(table.collect(late) == StoreStatus::kNodeLost);
  CHECK(table.read({{0}, 1}, out).status == StoreStatus::kNodeLost);
  CHECK(table.discard({{0}, {1}}) == StoreStatus::kNodeLost);
}

}  // namespace
}  // namespace tiara::pagetable
