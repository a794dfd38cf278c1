// One suite over every transport: what holds for a channel holds for all of them.
#include <cstring>
#include <numeric>
#include <random>
#include <thread>

#include "tests/unit/nic/transport/test_node.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::testing;

namespace {

Link::Kind any_transport() {
  if (rdma_address() != nullptr) return Link::Kind::kRdma;
  return GENERATE(Link::Kind::kLoop, Link::Kind::kShm, Link::Kind::kTcp, Link::Kind::kTcpSockets, Link::Kind::kTls,
                  Link::Kind::kTlsSockets);
}
Link::Kind any_remote_transport() {
  if (rdma_address() != nullptr) return Link::Kind::kRdma;
  return GENERATE(Link::Kind::kShm, Link::Kind::kTcp, Link::Kind::kTcpSockets, Link::Kind::kTls);
}

std::vector<std::byte> pattern(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Outcome refused(Refusal reason) {
  Outcome outcome;
  outcome.status = Status::kRefused;
  outcome.code = static_cast<uint16_t>(reason);
  return outcome;
}

struct Echo {
  explicit Echo(Channel& to)
      : channel(to), operation(operator_named(to, "echo")), space(*to.create_space(512)) {}
  Request request(std::span<const std::span<const std::byte>> payload) const {
    return {operation, space, arguments, payload};
  }
  Channel& channel;
  OperatorId operation;
  AddressSpaceId space;
  std::array<uint64_t, 2> arguments{40, 2};
};

}  // namespace

TEST_CASE("a node says what it is and what it can do") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const auto info = channel->info();
  REQUIRE(info);
  CHECK(info->pool.value == 8 * kMiB - pool::kFirstDataFrame * kPageSize);
  CHECK(info->pool_used.value == 0);
  CHECK(info->table_levels == 4);
  CHECK(info->max_pages == uint64_t{1} << 36);
  CHECK(info->operators.size() == 2);
}

TEST_CASE("a call carries arguments and scattered payload there and bytes back") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const Echo echo(*channel);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, size_t{12345}, size_t{kMaxPayloadBytes}}) {
    const auto bytes = pattern(size, size);
    const std::span<const std::byte> all(bytes);
    const std::array<std::span<const std::byte>, 3> parts{all.subspan(size / 2), all.first(size / 3),
                                                          all.subspan(size / 3, size / 2 - size / 3)};
    std::vector<std::byte> room(kMaxReplyBytes);
    const Reply reply = channel->call(echo.request(parts), room);
    REQUIRE(reply.call == CallStatus::kAnswered);
    REQUIRE(reply.outcome.status == Status::kOk);
    CHECK(reply.outcome.results[0] == 42);
    REQUIRE(reply.outcome.reply_bytes == size);
    const auto back = std::span<const std::byte>(room);
    CHECK(std::ranges::equal(back.first(size - size / 2), parts[0]));
    CHECK(std::ranges::equal(back.subspan(size - size / 2, size / 3), parts[1]));
  }
}

TEST_CASE("a reply never goes past the room that the caller gave") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const Echo echo(*channel);
  const auto bytes = pattern(100, 1);
  const std::array<std::span<const std::byte>, 1> parts{bytes};
  std::array<std::byte, 100> room{};
  const Reply reply = channel->call(echo.request(parts), std::span(room).first(99));
  CHECK(reply.outcome.status == Status::kFault);
  CHECK(reply.outcome.reply_bytes == 0);
  CHECK(room == std::array<std::byte, 100>{});
}

TEST_CASE("requests that are too big are refused and the channel lives on") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const Echo echo(*channel);
  const std::vector<std::byte> bytes(kMaxPayloadBytes / 2 + 1);
  const std::array<std::span<const std::byte>, 2> parts{bytes, bytes};
  const std::array<uint64_t, kMaxArguments + 1> seven{};
  CHECK(channel->call(echo.request(parts), {}).outcome == refused(Refusal::kPayloadSize));
  CHECK(channel->call({echo.operation, echo.space, seven}, {}).outcome == refused(Refusal::kArgumentCount));
  const Ticket ticket = channel->post(echo.request(parts), {});
  REQUIRE(ticket.is_valid());
  CHECK(channel->is_done(ticket));
  CHECK(channel->collect(ticket).outcome == refused(Refusal::kPayloadSize));
  CHECK(channel->call(echo.request({}), {}).outcome.results[0] == 42);
}

TEST_CASE("what a session does not have is refused") {
  const Link link(any_transport());
  const auto mine = link.connect();
  const auto other = link.connect();
  const Echo echo(*mine);
  const AddressSpaceId theirs = *other->create_space(512);
  CHECK(mine->call({echo.operation, theirs, {}}, {}).outcome == refused(Refusal::kUnknownAddressSpace));
  CHECK(mine->call({echo.operation, {}, {}}, {}).outcome == refused(Refusal::kUnknownAddressSpace));
  CHECK(mine->call({{77}, echo.space, {}}, {}).outcome == refused(Refusal::kUnknownOperator));
  CHECK(mine->call({{0}, echo.space, {}}, {}).outcome == refused(Refusal::kUnknownOperator));
  CHECK_FALSE(mine->destroy_space(theirs));
  CHECK(mine->destroy_space(echo.space));
  CHECK_FALSE(mine->destroy_space(echo.space));
  CHECK(mine->call(echo.request({}), {}).outcome == refused(Refusal::kUnknownAddressSpace));
  CHECK_FALSE(mine->create_space(0));
  CHECK(mine->create_space(uint64_t{1} << 36));
  CHECK_FALSE(mine->create_space((uint64_t{1} << 36) + 1));
  CHECK_FALSE(mine->register_operator(pattern(200, 3)));
  CHECK_FALSE(mine->is_lost());
}

TEST_CASE("posted requests are answered each once, and never keep a call from a slot") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const Echo echo(*channel);
  std::vector<Ticket> tickets;
  std::vector<std::array<std::byte, 64>> rooms(wire::kDefaultSlots);
  for (;;) {
    std::array<std::byte, 64> bytes;
    bytes.fill(static_cast<std::byte>(tickets.size()));
    const std::array<std::span<const std::byte>, 1> parts{bytes};
    const Ticket ticket = channel->post(echo.request(parts), rooms[tickets.size()]);
    bytes.fill(std::byte{0xee});  // the payload was copied
    if (!ticket.is_valid()) break;
    tickets.push_back(ticket);
  }
  CHECK(tickets.size() == wire::kDefaultSlots - wire::kDefaultSlots / 4);
  CHECK(channel->call(echo.request({}), {}).outcome.results[0] == 42);
  for (size_t i = 0; i < tickets.size(); i++) {
    const Reply reply = channel->collect(tickets[i]);
    REQUIRE(reply.call == CallStatus::kAnswered);
    REQUIRE(reply.outcome.reply_bytes == 64);
    CHECK(rooms[i][0] == static_cast<std::byte>(i));
    CHECK(rooms[i][63] == static_cast<std::byte>(i));
  }
  const Ticket again = channel->post(echo.request({}), {});
  REQUIRE(again.is_valid());
  CHECK(channel->collect(again).outcome.status == Status::kOk);
}

TEST_CASE("requests that are posted together are answered each once, whatever their sizes, as far as there are slots") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const Echo echo(*channel);
  // Small ones, which travel together over tcp, large ones between them, and one that is refused.
  constexpr std::array<size_t, 6> kSizes{0, 64, 3000, 40'000, 8, kMaxPayloadBytes + 1};
  constexpr size_t kPostings = wire::kMaxSlots + 1;
  std::vector<std::vector<std::byte>> sent, rooms;
  std::vector<std::array<std::span<const std::byte>, 1>> parts(kPostings);
  std::vector<Posting> postings;
  for (size_t i = 0; i < kPostings; i++) {
    sent.push_back(pattern(kSizes[i % kSizes.size()], i));
    rooms.emplace_back(std::min<size_t>(sent.back().size(), kMaxPayloadBytes));
    parts[i] = {sent.back()};
    postings.push_back({echo.request(parts[i]), rooms.back(), {}});
  }
  for (int round = 0; round < 3; round++) {
    const size_t count = channel->post_all(postings);
    REQUIRE(count == wire::kDefaultSlots - wire::kDefaultSlots / 4);
    for (size_t i = 0; i < count; i++) {
      const Reply reply = channel->collect(postings[i].ticket);
      REQUIRE(reply.call == CallStatus::kAnswered);
      if (sent[i].size() > kMaxPayloadBytes) {
        CHECK(reply.outcome == refused(Refusal::kPayloadSize));
        continue;
      }
      CHECK(reply.outcome.reply_bytes == sent[i].size());
      CHECK(rooms[i] == sent[i]);
      std::ranges::fill(rooms[i], std::byte{0});
    }
    for (size_t i = count; i < kPostings; i++) CHECK_FALSE(postings[i].ticket.is_valid());
  }
}

TEST_CASE("many threads share a channel and each gets its own answers") {
  const Link link(any_transport(), test_config(), 2);
  const auto channel = link.connect();
  const Echo echo(*channel);
  std::atomic<uint32_t> wrong{0};
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> room(16384);
    for (uint32_t i = 0; i < 300; i++) {
      const auto bytes = pattern(random() % 16384, random());
      const std::array<std::span<const std::byte>, 2> parts{std::span(bytes).first(bytes.size() / 2),
                                                            std::span(bytes).subspan(bytes.size() / 2)};
      Reply reply;
      if (const Ticket ticket = i % 3 == 0 ? channel->post(echo.request(parts), room) : Ticket{}; ticket.is_valid())
        reply = channel->collect(ticket);
      else
        reply = channel->call(echo.request(parts), room);
      const bool right = reply.call == CallStatus::kAnswered && reply.outcome.reply_bytes == bytes.size() &&
                         std::equal(bytes.begin(), bytes.end(), room.begin());
      if (!right) wrong++;
    }
  };
  std::vector<std::jthread> threads;
  for (uint64_t seed = 1; seed <= 6; seed++) threads.emplace_back(work, seed);
  threads.clear();
  CHECK(wrong == 0);
}

TEST_CASE("more callers than slots wait for each other") {
  const Link link(any_remote_transport());
  ConnectOptions options;
  options.slots = wire::kMinSlots;
  const auto channel = link.try_connect(options);
  REQUIRE(channel);
  const Echo echo(**channel);
  std::atomic<uint32_t> answered{0};
  std::vector<std::jthread> threads;
  for (uint32_t i = 0; i < 12; i++)
    threads.emplace_back([&] {
      for (uint32_t n = 0; n < 50; n++)
        answered += (*channel)->call(echo.request({}), {}).outcome.results[0] == 42;
    });
  threads.clear();
  CHECK(answered == 12 * 50);
}

TEST_CASE("a one-sided read is for nodes that were started for baselines") {
  const auto kind = any_transport();
  std::array<std::byte, 64> room;
  {
    const Link link(kind);
    const std::array<uint64_t, 2> arguments{0, 64};
    CHECK(link.connect()->call({kOneSidedRead, {}, arguments}, room).outcome == refused(Refusal::kNotAuthorised));
  }
  NodeConfig config = test_config();
  config.allows_one_sided = true;
  const Link link(kind, config);
  const auto channel = link.connect();
  const auto read = [&](uint64_t offset, uint64_t length) {
    const std::array<uint64_t, 2> arguments{offset, length};
    return channel->call({kOneSidedRead, {}, arguments}, room).outcome;
  };
  CHECK(read(0, 64).status == Status::kOk);
  CHECK(std::memcmp(room.data(), &pool::kPoolMagic, 8) == 0);
  CHECK(read(8 * kMiB - 64, 64).reply_bytes == 64);
  CHECK(read(8 * kMiB - 63, 64).status == Status::kFault);
  CHECK(read(~uint64_t{0}, 1).status == Status::kFault);
  CHECK(read(1, ~uint64_t{0}) == refused(Refusal::kReplyRoom));
  CHECK(channel->call({kOneSidedRead, {}, {}}, room).outcome == refused(Refusal::kArgumentCount));
}

TEST_CASE("a node with a token serves those who bring it") {
  const auto kind = any_transport();
  NodeConfig config = test_config();
  config.token = "open sesame";
  const Link link(kind, config);
  CHECK(link.connect()->info());
  for (const char* wrong : {"", "open sesam", "open sesame!", "xpen sesame"}) {
    ConnectOptions options;
    options.token = wrong;
    const auto channel = link.try_connect(options);
    REQUIRE_FALSE(channel);
    CHECK(channel.error().code == ErrorCode::kNoPermission);
  }
  CHECK(link.node().stats().sessions_refused == 4);
}

TEST_CASE("two tenants of a node: each comes with its token, and neither reaches what is the other's") {
  NodeConfig config = test_config();
  config.tenants = {{.name = "red", .token = "red token"}, {.name = "blue", .token = "blue token"}};
  const Link link(any_transport(), config);
  const auto connect = [&](const char* token) {
    ConnectOptions options;
    options.token = token;
    return link.try_connect(options);
  };
  for (const char* wrong : {"", "red", "blue tokeN"}) {
    const auto refused = connect(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kNoPermission);
  }
  const auto red = connect("red token"), blue = connect("blue token");
  REQUIRE(red);
  REQUIRE(blue);
  const OperatorId echo = operator_named(**red, "echo");
  const AddressSpaceId space = *(*red)->create_space(1);
  CHECK((*red)->call({echo, space, {}}, {}).outcome.status == Status::kOk);
  CHECK((*blue)->call({echo, space, {}}, {}).outcome == refused(Refusal::kUnknownAddressSpace));
  CHECK_FALSE((*blue)->destroy_space(space));
  CHECK_FALSE((*blue)->clone_space(space, CloneKind::kClone));
  CHECK_FALSE((*blue)->allocate_data(space, Bytes{kPageSize}));
  CHECK_FALSE((*blue)->adopt_space({space, {}}));
  const auto& tenants = link.node().tenants().all();
  CHECK(tenants[1]->refused(RefusalKind::kAuthority) == 5);
  CHECK(tenants[0]->refused(RefusalKind::kAuthority) == 0);
  CHECK((*red)->call({echo, space, {}}, {}).outcome.status == Status::kOk);
}

TEST_CASE("calls and posts of several tenants on one worker are all answered, each with its own bytes") {
  NodeConfig config = test_config();
  config.tenants = {{.name = "red", .token = "red", .weight = 3}, {.name = "blue", .token = "blue"}};
  const Link link(any_transport(), config);
  std::atomic<uint32_t> right{0};
  const auto work = [&](uint64_t number) {
    ConnectOptions options;
    options.token = number % 2 == 0 ? "red" : "blue";
    const auto channel = link.try_connect(options);
    if (!channel) return;
    const Echo echo(**channel);
    for (uint64_t round = 0; round < 30; round++) {
      std::array<std::vector<std::byte>, 6> sent, rooms;
      std::array<Ticket, 6> tickets;
      for (size_t i = 0; i < sent.size(); i++) {
        sent[i] = pattern(i == 5 ? 60'000 : 1 + 700 * i, number * 1000 + round * 10 + i);
        rooms[i].resize(sent[i].size());
        const std::array<std::span<const std::byte>, 1> parts{sent[i]};
        tickets[i] = (*channel)->post(echo.request(parts), rooms[i]);
        if (!tickets[i].is_valid()) return;
      }
      if ((*channel)->call(echo.request({}), {}).outcome.results[0] == 42) right++;
      for (size_t i = 0; i < sent.size(); i++)
        if ((*channel)->collect(tickets[i]).outcome.status == Status::kOk && rooms[i] == sent[i]) right++;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (uint64_t i = 0; i < 4; i++) threads.emplace_back(work, i);
  }
  CHECK(right == 4 * 30 * 7);
}

TEST_CASE("the largest requests and answers fit, many at once") {
  const Link link(any_transport());
  const auto channel = link.connect();
  const Echo echo(*channel);
  std::vector<Ticket> tickets;
  std::vector<std::vector<std::byte>> sent, rooms(16, std::vector<std::byte>(kMaxReplyBytes));
  for (size_t i = 0; i < rooms.size(); i++) {
    sent.push_back(pattern(kMaxPayloadBytes, i));
    const std::array<std::span<const std::byte>, 1> parts{sent[i]};
    tickets.push_back(channel->post(echo.request(parts), rooms[i]));
    REQUIRE(tickets.back().is_valid());
  }
  CHECK(channel->call(echo.request({}), {}).outcome.results[0] == 42);
  for (size_t i = tickets.size(); i-- > 0;) {
    REQUIRE(channel->collect(tickets[i]).outcome.reply_bytes == kMaxPayloadBytes);
    CHECK(rooms[i] == sent[i]);
  }
}

TEST_CASE("a session's end gives back what it had on the node") {
  const Link link(any_transport());
  {
    const auto channel = link.connect();
    REQUIRE(channel->create_space(512));
    CHECK(link.node().stats().spaces == 1);
  }
  CHECK(eventually([&] { return link.node().stats().spaces == 0; }));
}

TEST_CASE("injected faults depend on the seed and not on the transport") {
  const auto corrupted = [](Link::Kind kind, const char* text) {
    const Link link(kind);
    const auto plan = parse_fault_plan(text);
    REQUIRE(plan);
    FaultInjector channel(link.connect(), *plan);
    const Echo echo(channel);
    std::vector<uint32_t> which;
    for (uint32_t i = 0; i < 200; i++) {
      const auto bytes = pattern(64, i);
      const std::array<std::span<const std::byte>, 1> parts{bytes};
      std::array<std::byte, 64> room{};
      REQUIRE(channel.call(echo.request(parts), room).outcome.reply_bytes == 64);
      if (!std::ranges::equal(room, bytes)) which.push_back(i);
    }
    return which;
  };
  const auto expected = corrupted(Link::Kind::kLoop, "corrupt=0.2,seed=3");
  CHECK(expected.size() > 10);
  const auto kind = any_remote_transport();
  CHECK(corrupted(kind, "corrupt=0.2,jitter=20us,seed=3") == expected);
  CHECK(corrupted(kind, "corrupt=0.2,seed=4") != expected);
}

TEST_CASE("a url that names no transport is refused with what can be used") {
  for (const char* url : {"", "loop", "shm:/x", "udp://host:1", "loop:x"}) {
    const auto channel = nic::connect(url, {});
    REQUIRE_FALSE(channel);
    CHECK(channel.error().code == ErrorCode::kInvalidInput);
    CHECK(channel.error().message.find("use loop:, shm://PATH, tcp://HOST:PORT or rdma://ADDRESS:PORT") !=
          std::string::npos);
  }
}
