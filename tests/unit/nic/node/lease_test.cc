#include "nic/node/lease.h"

#include <catch2/catch.hpp>

using namespace tiara;
using namespace tiara::nic;
using namespace std::chrono_literals;

namespace {

uint64_t runs = 0;
Outcome count(const Invocation& invocation) noexcept {
  Outcome outcome;
  outcome.status = Status::kOk;
  outcome.results[0] = ++runs;
  outcome.reply_bytes = std::min<size_t>(invocation.reply.size(), 8);
  for (size_t i = 0; i < outcome.reply_bytes; i++) invocation.reply[i] = static_cast<std::byte>(runs);
  return outcome;
}

struct World {
  World() {
    runs = 0;
    NodeConfig config;
    config.pool.size = Bytes{8 * kMiB};
    config.natives = {{"count", count}};
    config.token = "open";
    node = std::move(*MemoryNode::create(config, {}));
    leases.emplace(*node, 10s);
    wire::Handshake question;
    question.slots = 8;
    question.token_bytes = 4;
    std::copy_n("open", 4, question.token.begin());
    auto opened = leases->open(question, 64);
    REQUIRE(opened.session != nullptr);
    session = opened.session;
    welcome = opened.reply;
    counting = session->session().info().operators.front().second;
    space = *session->session().create_space(1);
  }
  wire::Handshake question(wire::HandshakeKind kind) const {
    wire::Handshake made;
    made.kind = kind;
    made.instance = welcome.instance;
    made.session = welcome.session;
    made.secret = welcome.secret;
    made.epoch = session->epoch();
    return made;
  }
  std::optional<Outcome> run(uint32_t slot, uint64_t sequence, uint64_t epoch, uint32_t reply_room = 8) {
    wire::InvocationFrame frame;
    frame.request_id = stream_request_id(slot, sequence);
    frame.operation = counting;
    frame.space = space;
    frame.reply_room = reply_room;
    room.fill(std::byte{0});
    return session->execute(frame, {}, std::span(room).first(reply_room), epoch);
  }
  std::unique_ptr<MemoryNode> node;
  std::optional<LeaseTable> leases;
  std::shared_ptr<StreamSession> session;
  wire::HandshakeReply welcome;
  OperatorId counting;
  AddressSpaceId space;
  std::array<std::byte, 8> room{};
};

}  // namespace

TEST_CASE("a request that comes twice runs once and has the same outcome and bytes") {
  World world;
  const auto first = world.run(3, 1, 1);
  REQUIRE(first);
  const auto bytes = world.room;
  CHECK(world.run(3, 1, 1) == first);
  CHECK(world.room == bytes);
  CHECK(world.run(4, 1, 1)->results[0] == 2);  // another slot's first
  CHECK(world.run(3, 2, 1)->results[0] == 3);
  CHECK_FALSE(world.run(3, 1, 1));  // a straggler: its slot has gone on
  CHECK(runs == 3);
  CHECK(world.run(9, 1, 1)->status == Status::kRefused);  // a slot that the session does not have
}

TEST_CASE("a forged second copy with less room than the remembered answer takes is refused") {
  World world;
  REQUIRE(world.run(3, 1, 1)->reply_bytes == 8);
  const auto forged = world.run(3, 1, 1, 7);
  CHECK(forged->status == Status::kRefused);
  CHECK(forged->reply_bytes == 0);
  CHECK(world.room == std::array<std::byte, 8>{});
  CHECK(world.run(3, 1, 1)->reply_bytes == 8);  // the true one is still remembered
}

TEST_CASE("what comes out of a connection of an older epoch does not run") {
  World world;
  REQUIRE(world.run(0, 1, 1));
  const auto resumed = world.leases->resume(world.question(wire::HandshakeKind::kResume));
  REQUIRE(resumed.session == world.session);
  CHECK(resumed.reply.epoch == 2);
  CHECK_FALSE(world.run(0, 2, 1));
  CHECK(world.run(0, 1, 2)->results[0] == 1);  // sent again: remembered
  CHECK(world.run(0, 2, 2)->results[0] == 2);
  auto late = world.question(wire::HandshakeKind::kAttach);
  late.epoch = 1;
  CHECK(world.leases->attach(late).session == nullptr);
}

TEST_CASE("a session is there until its lease has run out, and not after") {
  World world;
  world.leases->disconnected(*world.session, 1, 100s);
  CHECK(world.leases->next_expiry() == os::Nanoseconds(110s));
  world.leases->reap(109s);
  CHECK(world.leases->stats().away == 1);
  CHECK(world.leases->resume(world.question(wire::HandshakeKind::kResume)).session != nullptr);
  CHECK_FALSE(world.leases->next_expiry());
  world.leases->disconnected(*world.session, 1, 105s);  // the old connection is noticed late: nothing to do
  CHECK_FALSE(world.leases->next_expiry());
  world.leases->disconnected(*world.session, 2, 200s);
  world.leases->reap(210s);
  CHECK(world.leases->stats().expired == 1);
  CHECK(world.node->stats().spaces == 0);
  const auto late = world.leases->resume(world.question(wire::HandshakeKind::kResume));
  CHECK(late.session == nullptr);
  CHECK(late.reply.status == wire::HandshakeStatus::kExpired);
  CHECK_FALSE(world.run(0, 9, 2));
}

TEST_CASE("a client that has let go is not waited for") {
  World world;
  world.leases->let_go(*world.session);
  CHECK(world.node->stats().spaces == 1);
  world.leases->disconnected(*world.session, 1, 100s);
  world.leases->reap(100s);
  CHECK(world.node->stats().spaces == 0);
  CHECK(world.leases->stats().expired == 0);
}

TEST_CASE("nobody takes a session up without its secret, or one of another node") {
  World world;
  auto question = world.question(wire::HandshakeKind::kResume);
  question.secret.words[1] ^= 1;
  CHECK(world.leases->resume(question).reply.status == wire::HandshakeStatus::kExpired);
  question = world.question(wire::HandshakeKind::kAttach);
  question.session++;
  CHECK(world.leases->attach(question).reply.status == wire::HandshakeStatus::kExpired);
  question = world.question(wire::HandshakeKind::kResume);
  question.instance ^= 1;
  CHECK(world.leases->resume(question).reply.status == wire::HandshakeStatus::kOtherInstance);
  CHECK(world.leases->stats().resumed == 0);
  wire::Handshake stranger;
  CHECK(world.leases->open(stranger, 64).reply.status == wire::HandshakeStatus::kNoPermission);
}

TEST_CASE("a control question that comes twice is acted on once") {
  World world;
  wire::ControlHeader header;
  header.operation = wire::ControlOperation::kCreateSpace;
  header.request_id = 5;
  const auto body = wire::encode_number(4);
  const auto first = world.session->answer(header, body);
  CHECK(world.session->answer(header, body) == first);
  CHECK(world.node->stats().spaces == 2);
  header.request_id = 6;
  CHECK(world.session->answer(header, body) != first);
  CHECK(world.node->stats().spaces == 3);
}
