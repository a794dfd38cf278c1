// RDMA: what travels, what happens when the connection breaks, and who is no client. The cases marked [.rdma] need a
// device and are run in the virtual machine (tests/vm/run rdma); the others are about machines without one.
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <thread>
#include <unistd.h>

#include "tests/unit/nic/transport/test_node.h"

#ifdef TIARA_HAS_RDMA
#include "nic/node/lease.h"
#include "nic/transport/rdma_channel.h"
#include "nic/verbs/manager.h"
#include "nic/verbs/queue.h"
#include "nic/wire/rdma_layout.h"
#endif

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::testing;
using namespace std::chrono_literals;

TEST_CASE("rdma:// without a device, or built without it, is refused with what to do about it") {
  if (access("/sys/class/infiniband", F_OK) == 0) {
    WARN("this machine has RDMA devices");
    return;
  }
  const auto channel = nic::connect("rdma://127.0.0.1:7440", {});
  REQUIRE_FALSE(channel);
  CHECK(channel.error().code == ErrorCode::kUnsupported);
  const auto node = make_node();
  const auto server = serve("rdma://127.0.0.1:0", *node, {});
  REQUIRE_FALSE(server);
  CHECK(server.error().code == ErrorCode::kUnsupported);
#ifdef TIARA_HAS_RDMA
  CHECK(server.error().message.starts_with("no RDMA device on this machine; "));
#else
  CHECK(server.error().message.starts_with("this tiara was built without RDMA; "));
#endif
  CHECK(channel.error().message == server.error().message);
}

#ifdef TIARA_HAS_RDMA
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

struct World {
  explicit World(const NodeConfig& config = counting_config(), std::chrono::milliseconds timeout = 60s)
      : node(make_node(config)), server(start()), url(server->url()), channel(connect(timeout)),
        counting(operator_named(*channel, "count")), space(*channel->create_space(1)) {}

  std::unique_ptr<NodeServer> start() const {
    ServerConfig config;
    config.workers = 2;
    auto serving = serve(rdma_url(), *node, config);
    if (!serving) FAIL(serving.error().message);
    return std::move(*serving);
  }
  std::unique_ptr<Channel> connect(std::chrono::milliseconds timeout) const {
    ConnectOptions options;
    options.node_timeout = timeout;
    auto made = nic::connect(url, options);
    if (!made) FAIL(made.error().message);
    return std::move(*made);
  }
  RdmaChannel& rdma() const { return static_cast<RdmaChannel&>(*channel); }
  Reply call() const { return channel->call({counting, space, {}}, {}); }

  std::shared_ptr<MemoryNode> node;
  std::unique_ptr<NodeServer> server;
  std::string url;
  std::unique_ptr<Channel> channel;
  OperatorId counting;
  AddressSpaceId space;
};

// Echoes of random sizes by several threads, calls and posts, each checked; how many were wrong.
// `disturb` is called again and again, with how many are done.
uint32_t wrong_echoes(const World& world, uint32_t rounds, size_t largest,
                      const std::function<void(uint32_t)>& disturb) {
  std::atomic<uint32_t> wrong{0}, done{0};
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(largest), room(largest);
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

// What the device itself has counted.
uint64_t device_count(const char* name) {
  usleep(50'000);  // sleep: the kernel looks at the device's counters every 12 ms (their `lifespan`)
  std::ifstream file(std::string("/sys/class/infiniband/rxe0/ports/1/hw_counters/") + name);
  uint64_t value = 0;
  REQUIRE(file >> value);
  return value;
}

}  // namespace

TEST_CASE("rdma: a call is one SEND and one answer, and few completions are asked for", "[.rdma]") {
  const World world;
  constexpr uint64_t kCalls = 400;
  const uint64_t device_sends = device_count("rdma_sends"), device_receives = device_count("rdma_recvs");
  const verbs::WorkCounts before = world.rdma().counts();
  for (uint64_t i = 0; i < kCalls; i++) REQUIRE(world.call().call == CallStatus::kAnswered);
  const verbs::WorkCounts after = world.rdma().counts();
  CHECK(after.sends - before.sends == kCalls);
  CHECK(after.arrivals - before.arrivals == kCalls);
  CHECK(after.inlined - before.inlined == kCalls);
  CHECK(after.reads == before.reads);
  CHECK(after.writes == 0);
  CHECK(after.completions - before.completions <= kCalls / 8 + 1);
  // The device's own figures, of both ends: a SEND arrives at the node, a WRITE with immediate at the client.
  CHECK(device_count("rdma_sends") - device_sends == kCalls);
  CHECK(device_count("rdma_recvs") - device_receives == 2 * kCalls);
  CHECK(device_count("send_rnr_err") == 0);
  CHECK(world.rdma().reconnects() == 0);
}

TEST_CASE("rdma: a one-sided read is one READ, which the node's software does not see", "[.rdma]") {
  NodeConfig config = counting_config();
  config.allows_one_sided = true;
  const World world(config);
  std::array<std::byte, 64> room;
  const std::array<uint64_t, 2> arguments{0, 64};
  const verbs::WorkCounts before = world.rdma().counts();
  const uint64_t invocations = world.node->stats().counts.invocations;
  for (int i = 0; i < 50; i++) {
    room.fill(std::byte{0xee});
    const Reply reply = world.channel->call({kOneSidedRead, {}, arguments}, room);
    REQUIRE(reply.outcome.status == Status::kOk);
    REQUIRE(reply.outcome.reply_bytes == 64);
    REQUIRE(std::memcmp(room.data(), world.node->pool().bytes().data(), 64) == 0);
  }
  const verbs::WorkCounts after = world.rdma().counts();
  CHECK(after.reads - before.reads == 50);
  CHECK(after.sends == before.sends);
  CHECK(after.arrivals == before.arrivals);
  CHECK(world.node->stats().counts.invocations == invocations);
}

TEST_CASE("rdma: a large request is fetched by the node, and a page's is not", "[.rdma]") {
  const World world;
  const auto echo_of = [&](size_t size) {
    std::vector<std::byte> bytes(size, std::byte{7}), room(size);
    const std::array<std::span<const std::byte>, 1> parts{bytes};
    const verbs::WorkCounts before = world.rdma().counts();
    CHECK(world.channel->call({world.counting, world.space, {}, parts}, room).outcome.reply_bytes == size);
    CHECK(room == bytes);
    const verbs::WorkCounts after = world.rdma().counts();
    CHECK(after.sends - before.sends == 1);
    CHECK(after.arrivals - before.arrivals == 1);
  };
  echo_of(kPageSize);
  echo_of(kPageSize + 1);
  echo_of(kMaxPayloadBytes);
}

TEST_CASE("rdma: a connection that is cut under load is made again, and every request runs once", "[.rdma]") {
  for (const uint64_t seed : {1, 2, 3}) {
    executions = 0;
    const World world;
    std::mt19937_64 random(seed);
    uint32_t next = 0;  // by what is done, not by time: however slow the machine, it gets on between two cuts
    const uint32_t wrong = wrong_echoes(world, 60, 40'000, [&](uint32_t done) {
      if (done < next) return;
      world.rdma().cut_for_testing();
      next = done + 5 + static_cast<uint32_t>(random() % 20);
    });
    CHECK(wrong == 0);
    CHECK(executions == 3 * 60);
    CHECK(world.server->stats().resumed > 0);
    CHECK(world.rdma().reconnects() > 0);
    CHECK(world.node->stats().spaces == 1);
  }
}

TEST_CASE("rdma: requests that are posted together are one list", "[.rdma]") {
  const World world;
  std::array<Posting, 8> postings;
  for (Posting& posting : postings) posting.request = {world.counting, world.space, {}};
  const verbs::WorkCounts before = world.rdma().counts();
  CHECK(world.channel->post_all(postings) == postings.size());
  for (const Posting& posting : postings) CHECK(world.channel->collect(posting.ticket).call == CallStatus::kAnswered);
  const verbs::WorkCounts after = world.rdma().counts();
  CHECK(after.sends - before.sends == postings.size());
  CHECK(after.lists - before.lists == 1);
}

TEST_CASE("rdma: posted requests survive a cut, and a control question is acted on once", "[.rdma]") {
  const World world;
  std::vector<Ticket> tickets;
  for (int i = 0; i < 8; i++) tickets.push_back(world.channel->post({world.counting, world.space, {}}, {}));
  world.rdma().cut_for_testing();
  CHECK(world.channel->create_space(4));
  for (const Ticket ticket : tickets) CHECK(world.channel->collect(ticket).call == CallStatus::kAnswered);
  CHECK(world.node->stats().spaces == 2);
}

TEST_CASE("rdma: an idle client comes back by itself", "[.rdma]") {
  const World world;
  for (int i = 0; i < 3; i++) {
    const uint64_t before = world.server->stats().resumed, reconnects = world.rdma().reconnects();
    world.rdma().cut_for_testing();
    CHECK(eventually([&] { return world.server->stats().resumed > before; }));
    CHECK(eventually([&] { return world.rdma().reconnects() > reconnects; }));  // what is down cannot be cut again
  }
  CHECK(world.node->stats().spaces == 1);
  CHECK(world.call().call == CallStatus::kAnswered);
}

TEST_CASE("rdma: a node that ends is a lost node, and one at its address is not taken for it", "[.rdma]") {
  World world;
  world.server.reset();
  CHECK(world.call().call == CallStatus::kNodeLost);
  CHECK(world.channel->is_lost());
  CHECK_FALSE(world.channel->post({world.counting, world.space, {}}, {}).is_valid());
  CHECK(world.channel->info().error().code == ErrorCode::kUnavailable);
}

TEST_CASE("rdma: a client that comes back to a node without its session is told so", "[.rdma]") {
  World world;
  const auto other = make_node(counting_config());
  // The same address at once: the client cannot tell but by the instance.
  world.server.reset();
  auto again = serve(world.url, *other, {});
  REQUIRE(again);
  CHECK(world.call().call == CallStatus::kNodeLost);
  CHECK(other->stats().sessions == 0);
}

namespace {

// A client of its own making, which says whatever it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& url, uint32_t slots = 8)
      : manager_(*verbs::Manager::create()), address_(*os::resolve_tcp(url.substr(7))) {
    id_ = std::move(*manager_.make_id());
    await(verbs::Manager::resolve_address(id_, address_, 60s), verbs::ManagerEvent::Kind::kAddressResolved);
    await(verbs::Manager::resolve_route(id_, 60s), verbs::ManagerEvent::Kind::kRouteResolved);
    domain_ = std::move(*verbs::Domain::create(id_));
    slab_ = std::move(*domain_->allocate(Bytes{wire::rdma_slab_bytes(slots)}, verbs::Access::kReadWrite));
    queue_ = std::move(*verbs::Queue::create(id_, *domain_, {16, 16}, 0));
    const verbs::Receive receive{slab_.data(), 0, slab_.local_key(), 0};
    REQUIRE(queue_->post_receives({&receive, 1}));
    hello_ = {slots, slab_.remote().key, slab_.remote().address, slab_.size()};
  }
  bool connect(std::span<const std::byte> private_data) {
    REQUIRE(verbs::Manager::connect(id_, private_data) == 0);
    for (;;) {
      const verbs::ManagerEvent event = manager_.await(os::monotonic_now() + 60s);
      if (event.kind == verbs::ManagerEvent::Kind::kEstablished) return true;
      if (event.kind != verbs::ManagerEvent::Kind::kNone) return false;
      FAIL("no answer to a connection request");
    }
  }
  bool connect() {
    std::array<std::byte, wire::kRdmaHelloBytes> bytes;
    wire::encode(hello_, bytes);
    return connect(bytes);
  }
  void send(std::span<const std::byte> bytes, uint32_t immediate) {
    std::ranges::copy(bytes, slab_.data());
    verbs::Send send{};
    send.kind = verbs::Send::Kind::kSend;
    send.at = slab_.data();
    send.length = static_cast<uint32_t>(bytes.size());
    send.key = slab_.local_key();
    send.immediate = immediate;
    REQUIRE(queue_->post_sends({&send, 1}));
  }
  bool is_hung_up_on() {
    const verbs::ManagerEvent event = manager_.await(os::monotonic_now() + 60s);
    return event.kind == verbs::ManagerEvent::Kind::kDisconnected;
  }
  const wire::RdmaHello& hello() const { return hello_; }

 private:
  void await(int error, verbs::ManagerEvent::Kind kind) {
    REQUIRE(error == 0);
    REQUIRE(manager_.await(os::monotonic_now() + 60s).kind == kind);
  }
  verbs::Manager manager_;
  os::TcpAddress address_;
  verbs::Id id_;
  std::unique_ptr<verbs::Domain> domain_;
  verbs::Registration slab_;
  std::unique_ptr<verbs::Queue> queue_;
  wire::RdmaHello hello_;
};

}  // namespace

TEST_CASE("rdma: what is no client of ours is shown the door and disturbs nobody", "[.rdma]") {
  const World world;
  std::mt19937_64 random(5);
  const auto noise = [&](size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
  };
  for (int i = 0; i < 3; i++) {
    RawClient stranger(world.url);
    CHECK_FALSE(stranger.connect(noise(wire::kRdmaHelloBytes)));
  }
  uint64_t malformed = world.server->stats().malformed;
  CHECK(malformed == 3);
  for (uint32_t kind = 0; kind < 6; kind++) {  // no kind at all, each kind before a handshake, and one too many
    RawClient client(world.url);
    REQUIRE(client.connect());
    client.send(noise(1 + random() % 3000), kind << 8 | random() % 2);
    CHECK(client.is_hung_up_on());
    CHECK(world.server->stats().malformed == ++malformed);
  }
  {
    RawClient client(world.url);  // the right size for a handshake, and nothing right in it
    REQUIRE(client.connect());
    client.send(noise(wire::kHandshakeBytes),
                wire::rdma_immediate(wire::RdmaRequest::kHandshake, wire::RdmaBytes::kInMessage));
    CHECK(eventually([&] { return world.server->stats().malformed == malformed + 1; }));
  }
  CHECK(world.call().call == CallStatus::kAnswered);
  CHECK(world.rdma().reconnects() == 0);
  CHECK(world.node->stats().sessions == 1);
}

TEST_CASE("rdma: clients that come and go leave nothing behind", "[.rdma]") {
  const World world;
  for (int i = 0; i < 10; i++) {
    const auto channel = world.connect(60s);
    const auto space = channel->create_space(1);
    REQUIRE(space);
    REQUIRE(channel->call({world.counting, *space, {}}, {}).call == CallStatus::kAnswered);
  }
  CHECK(eventually([&] { return world.node->stats().sessions == 1; }));
  CHECK(world.node->stats().spaces == 1);
}
#endif
