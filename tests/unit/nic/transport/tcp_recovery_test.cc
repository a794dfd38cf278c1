// What the TCP transport does when the network or the node fails: goes on where it can, never twice, never wrong.
#include <random>
#include <sys/socket.h>
#include <thread>

#include "nic/node/tcp_server.h"
#include "nic/transport/tcp_channel.h"
#include "tests/unit/nic/transport/proxy.h"
#include "tests/unit/nic/transport/test_node.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::testing;
using namespace std::chrono_literals;

namespace {

std::atomic<uint64_t> executions{0};
// Not repeatable, as every function on the node's CPU: says how often functions ran before this one.
Outcome count(const Invocation& invocation) noexcept {
  Outcome outcome = echo(invocation);
  outcome.results[1] = executions.fetch_add(1);
  return outcome;
}

NodeConfig counting_config() {
  NodeConfig config = test_config();
  config.natives.push_back({"count", count});
  return config;
}

// A node, a bad network before it, and a client.
struct World {
  explicit World(std::chrono::milliseconds lease = 30s, std::chrono::milliseconds timeout = 30s)
      : node(make_node(counting_config())), server(start(lease)), proxy(server->url()), channel(connect(timeout)),
        counting(operator_named(*channel, "count")), space(*channel->create_space(1)) {}

  std::unique_ptr<NodeServer> start(std::chrono::milliseconds lease) {
    ServerConfig config;
    config.workers = 2;
    config.lease = lease;
    const auto kind = GENERATE(Link::Kind::kTcp, Link::Kind::kTcpSockets, Link::Kind::kTls);
    if (kind == Link::Kind::kTcpSockets) config.io = os::IoBackend::kSockets;
    is_secured = kind == Link::Kind::kTls;
    if (is_secured) {
      config.tls_certificate = test_certificates().certificate_file();
      config.tls_key = test_certificates().key_file();
    }
    auto serving = serve("tcp://127.0.0.1:0", *node, config);
    if (!serving) FAIL(serving.error().message);
    return std::move(*serving);
  }
  std::unique_ptr<Channel> connect(std::chrono::milliseconds timeout) const {
    ConnectOptions options;
    options.node_timeout = timeout;
    auto made = nic::connect(proxy.url() + (is_secured ? test_certificates().query() : ""), options);
    if (!made) FAIL(made.error().message);
    return std::move(*made);
  }
  TcpServer& tcp() const { return static_cast<TcpServer&>(*server); }
  Reply call() const { return channel->call({counting, space, {}}, {}); }

  std::shared_ptr<MemoryNode> node;
  bool is_secured = false;
  std::unique_ptr<NodeServer> server;
  Proxy proxy;
  std::unique_ptr<Channel> channel;
  OperatorId counting;
  AddressSpaceId space;
};

// Echoes of random sizes by several threads, calls and posts, each checked; how many were wrong.
// `disturb` is called again and again, with how many are done.
uint32_t wrong_echoes(const World& world, uint32_t rounds, const std::function<void(uint32_t)>& disturb) {
  std::atomic<uint32_t> wrong{0}, done{0};
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(40'000), room(40'000);
    for (uint32_t i = 0; i < rounds; i++) {
      const size_t size = random() % bytes.size();
      for (size_t at = 0; at < size; at += 7) bytes[at] = static_cast<std::byte>(random());
      const std::array<std::span<const std::byte>, 1> parts{std::span(bytes).first(size)};
      const Request request{world.counting, world.space, {}, parts};
      const Ticket ticket = i % 2 == 0 ? world.channel->post(request, room) : Ticket{};
      const Reply reply = ticket.is_valid() ? world.channel->collect(ticket) : world.channel->call(request, room);
      wrong += reply.call != CallStatus::kAnswered || reply.outcome.reply_bytes != size ||
               !std::equal(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size), room.begin());
      done++;
    }
  };
  std::vector<std::jthread> threads;
  for (uint64_t seed = 1; seed <= 3; seed++) threads.emplace_back(work, seed);
  while (done < 3 * rounds) {
    disturb(done);
    usleep(500);  // sleep: the load goes on meanwhile
  }
  return wrong;
}

}  // namespace

TEST_CASE("a connection that is cut under load is made again, and every request runs once") {
  executions = 0;
  const World world;
  uint32_t next = 0;  // by what is done, not by time: however slow the machine, it gets on between two cuts
  const uint32_t wrong = wrong_echoes(world, 150, [&](uint32_t done) {
    if (done < next) return;
    const_cast<Proxy&>(world.proxy).cut();
    next = done + 10;
  });
  CHECK(wrong == 0);
  CHECK(executions == 3 * 150);
  CHECK(world.tcp().lease_stats().resumed > 0);
  CHECK(world.node->stats().spaces == 1);
}

TEST_CASE("corrupted bytes end the connection and reach nobody") {
  executions = 0;
  World world;
  std::mt19937_64 random(11);
  const uint32_t wrong = wrong_echoes(world, 100, [&](uint32_t) {
    if (world.proxy.has_corrupted()) world.proxy.corrupt_after(static_cast<int64_t>(random() % 600'000));
  });
  CHECK(wrong == 0);
  CHECK(executions == 3 * 100);
  CHECK(world.tcp().lease_stats().resumed > 0);
}

TEST_CASE("a network that passes nothing for a while is waited for") {
  World world;
  REQUIRE(world.call().call == CallStatus::kAnswered);
  world.proxy.hold(true);
  std::jthread release([&] {
    usleep(150'000);  // sleep: this is the while
    world.proxy.hold(false);
  });
  CHECK(world.call().call == CallStatus::kAnswered);
}

TEST_CASE("a network that passes nothing for longer than the bound on waiting is a lost node") {
  World world(30s, 2s);
  world.proxy.hold(true);
  const auto start = os::monotonic_now();
  CHECK(world.call().call == CallStatus::kNodeLost);
  CHECK(os::monotonic_now() - start >= 2s);
  world.proxy.hold(false);
  CHECK(world.channel->is_lost());
  CHECK(world.call().call == CallStatus::kNodeLost);
  CHECK_FALSE(world.channel->post({world.counting, world.space, {}}, {}).is_valid());
  CHECK(world.channel->info().error().code == ErrorCode::kUnavailable);
}

TEST_CASE("posted requests survive a cut, and a control question is acted on once") {
  executions = 0;
  World world;
  std::vector<Ticket> tickets;
  for (int i = 0; i < 8; i++) tickets.push_back(world.channel->post({world.counting, world.space, {}}, {}));
  std::vector<Posting> together(8, {{world.counting, world.space, {}}, {}, {}});
  REQUIRE(world.channel->post_all(together) == 8);
  world.proxy.cut();
  for (const Posting& posting : together) tickets.push_back(posting.ticket);
  CHECK(world.channel->create_space(4));
  for (const Ticket ticket : tickets) CHECK(world.channel->collect(ticket).call == CallStatus::kAnswered);
  CHECK(executions == 16);
  CHECK(world.node->stats().spaces == 2);
}

TEST_CASE("an idle client comes back by itself") {
  World world;
  for (int i = 0; i < 3; i++) {
    const uint64_t before = world.tcp().lease_stats().resumed;
    world.proxy.cut();
    CHECK(eventually([&] { return world.tcp().lease_stats().resumed > before; }));
  }
  CHECK(world.node->stats().spaces == 1);
  CHECK(world.call().call == CallStatus::kAnswered);
}

TEST_CASE("a client that is away for longer than its lease is reaped, and told so when it comes back") {
  World world(50ms);
  world.proxy.hold(true);
  // The node's side of the connections ends, the client's does not notice: the proxy passes nothing on.
  auto& tcp = world.tcp();
  CHECK(world.node->stats().spaces == 1);
  world.proxy.cut();
  CHECK(eventually([&] { return tcp.lease_stats().expired == 1; }));
  CHECK(world.node->stats().spaces == 0);
  world.proxy.hold(false);
  CHECK(world.call().call == CallStatus::kNodeLost);
  CHECK(world.channel->is_lost());
}

TEST_CASE("a node that ends is a lost node at once") {
  Link link(GENERATE(Link::Kind::kTcp, Link::Kind::kTls));
  const auto channel = link.connect();
  link.end_server();
  const auto start = os::monotonic_now();
  CHECK(channel->call({}, {}).call == CallStatus::kNodeLost);
  CHECK(os::monotonic_now() - start < 20s);  // far below the bound on waiting
}

TEST_CASE("a node that was started again at the same address is not taken for the one with the pages") {
  auto first = make_node(counting_config());
  auto server = serve("tcp://127.0.0.1:0", *first, {});
  REQUIRE(server);
  const std::string url = (*server)->url();
  Proxy proxy(url);
  const auto channel = nic::connect(proxy.url(), {});
  REQUIRE(channel);
  REQUIRE((*channel)->create_space(1));
  proxy.hold(true);
  server->reset();
  auto second = make_node(counting_config());
  auto again = serve(url, *second, {});
  REQUIRE(again);
  proxy.cut();
  proxy.hold(false);
  CHECK((*channel)->call({}, {}).call == CallStatus::kNodeLost);
  CHECK((*channel)->is_lost());
  CHECK(second->stats().sessions == 0);
}

TEST_CASE("what is no client of ours is shown the door and disturbs nobody") {
  const auto kind = GENERATE(Link::Kind::kTcp, Link::Kind::kTcpSockets);
  const Link link(kind);
  const auto channel = link.connect();
  const AddressSpaceId space = *channel->create_space(1);
  const OperatorId echo_operator = operator_named(*channel, "echo");
  const auto address = *os::resolve_tcp(link.server().url().substr(6));
  std::mt19937_64 random(5);
  for (int i = 0; i < 20; i++) {
    const auto socket = os::open_tcp(address, 10ms);
    REQUIRE(socket);
    REQUIRE(os::connect_tcp(*socket, address, 5s) == 0);
    std::vector<std::byte> bytes(1 + random() % 4096);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    if (i % 4 == 0 && bytes.size() >= wire::kHandshakeBytes) {  // a right handshake with a wrong secret
      wire::Handshake question;
      question.kind = i % 8 == 0 ? wire::HandshakeKind::kAttach : wire::HandshakeKind::kResume;
      question.session = 1;
      question.instance = random();
      wire::encode(question, std::span(bytes).first<wire::kHandshakeBytes>());
    }
    (void)os::send_some(*socket, bytes);
    if (i % 3 == 0) continue;  // hangs up at once
    std::array<std::byte, 512> room;
    if (bytes.size() < wire::kHandshakeBytes) continue;
    CHECK(eventually([&] { return os::receive_some(*socket, room, os::Wait::kYes) < 0; }));
  }
  CHECK(channel->call({echo_operator, space, {}}, {}).call == CallStatus::kAnswered);
  CHECK(link.node().stats().sessions == 1);
}
