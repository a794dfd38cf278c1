// libFuzzer: what anybody who reaches a node's port can send to it: handshakes, questions on the control connection and
// requests on both lanes, right, forged, damaged, cut, in pieces. Over real sockets to a real server, whose work is
// done by whoever waits for it: one thread, no waking, and one input has one course.
//
//  - The node ends a connection at the first bytes that are no message of ours, and only then.
//  - Before that it answers every request, in order, with what is well-formed and intact.
//  - A client that behaves is served meanwhile.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <sys/socket.h>

#include "nic/node/tcp_server.h"
#include "runtime/os/tcp.h"
#include "tests/fuzz/libfuzzer/wire_stream.h"

namespace {

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::fuzz;
using namespace std::chrono_literals;

constexpr uint32_t kSlots = 8;
constexpr uint64_t kSentinel = stream_request_id(kSlots - 1, uint64_t{1} << 57);

void require_at(bool holds, int line) {
  if (holds) return;
  std::fprintf(stderr, "node.cc:%d: does not hold\n", line);
  std::abort();
}
#define REQUIRE_HERE(what) require_at((what), __LINE__)

Outcome echo(const Invocation& invocation) noexcept {
  Outcome outcome;
  outcome.status = Status::kOk;
  outcome.reply_bytes = std::min(invocation.payload.size(), invocation.reply.size());
  std::memcpy(invocation.reply.data(), invocation.payload.data(), outcome.reply_bytes);
  for (const uint64_t argument : invocation.arguments) outcome.results[0] += argument;
  return outcome;
}

// How often in a row a server that has nothing to do is asked before it counts as silent: what a socket was given is
// there for its peer at once on loopback, or after a tick of the kernel's.
constexpr int kSilence = 20'000;

struct Connection {
  TcpServer* server;
  UniqueFd socket;
  // Connects. Ends with a reset: a million closed connections must not keep their ports for a minute each.
  Connection(TcpServer& to, const os::TcpAddress& address) : server(&to) {
    auto made = os::open_tcp(address, 20s);
    REQUIRE_HERE(made.has_value());
    socket = std::move(*made);
    const linger reset{1, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    REQUIRE_HERE(os::connect_tcp(socket, address, 20s) == 0);
  }
  // In pieces. The node may have hung up.
  void send(std::span<const std::byte> bytes, size_t piece) const {
    piece = std::max(piece, bytes.size() / 128);  // bounds the work of small pieces
    for (int silence = 0; !bytes.empty();) {
      const long sent = os::send_some(socket, bytes.first(std::min(piece, bytes.size())));
      if (sent < 0) return;
      bytes = bytes.subspan(static_cast<size_t>(sent));
      silence = server->step() || sent != 0 ? 0 : silence + 1;
      REQUIRE_HERE(silence < kSilence);
    }
  }
  // False: the node hung up first. It must not be silent.
  bool receive(std::span<std::byte> room) const {
    for (int silence = 0; !room.empty();) {
      const long got = os::receive_some(socket, room, os::Wait::kNo);
      if (got < 0) return false;
      silence = server->step() || got != 0 ? 0 : silence + 1;
      REQUIRE_HERE(silence < kSilence);
      room = room.subspan(static_cast<size_t>(got));
    }
    return true;
  }
  bool shake_hands(const wire::Handshake& question, wire::HandshakeReply& reply) const {
    std::array<std::byte, wire::kHandshakeBytes> asked;
    wire::encode(question, asked);
    send(asked, asked.size());
    return receive_welcome(reply);
  }
  bool receive_welcome(wire::HandshakeReply& reply) const {
    std::array<std::byte, wire::kHandshakeReplyBytes> answer;
    if (!receive(answer)) return false;
    REQUIRE_HERE(wire::decode(answer, reply) == wire::DecodeStatus::kOk);
    return reply.status == wire::HandshakeStatus::kWelcome;
  }
  // The next answer on a lane; false: the node hung up.
  bool receive_reply(wire::ReplyFrame& reply) const {
    std::array<std::byte, wire::kFrameBytes> frame;
    if (!receive(frame)) return false;
    REQUIRE_HERE(wire::decode(frame, reply) == wire::DecodeStatus::kOk);
    std::vector<std::byte> bytes(wire::message_bytes(reply.outcome.reply_bytes) - wire::kFrameBytes);
    if (!receive(bytes)) return false;
    REQUIRE_HERE(wire::is_intact(bytes.data(), reply.outcome.reply_bytes));
    return true;
  }
};

struct Client {
  Connection control;
  wire::HandshakeReply welcome;
  std::unique_ptr<Connection> lanes[wire::kLanes];
  std::map<uint32_t, uint64_t> last;  // request of each slot, whichever lane brought it

  AddressSpaceId space;

  Client(TcpServer& server, const os::TcpAddress& address) : control(server, address) {
    wire::Handshake question;
    question.slots = kSlots;
    REQUIRE_HERE(control.shake_hands(question, welcome));
    space = AddressSpaceId{*wire::decode_id(ask(wire::ControlOperation::kCreateSpace, 1, wire::encode_number(4)))};
  }
  wire::Body ask(wire::ControlOperation operation, uint64_t id, const wire::Body& body) const {
    const wire::Body question = wire::encode_request(operation, id, {}, body);
    control.send(question, question.size());
    wire::Body header(wire::kControlHeaderBytes);
    REQUIRE_HERE(control.receive(header));
    const auto decoded = wire::decode_control_header(header);
    REQUIRE_HERE(decoded && decoded->status == 0);
    wire::Body answer(decoded->body_bytes);
    REQUIRE_HERE(control.receive(answer));
    return answer;
  }
  void attach(uint32_t lane, const os::TcpAddress& address) {
    lanes[lane] = std::make_unique<Connection>(*control.server, address);
    wire::HandshakeReply reply;
    REQUIRE_HERE(lanes[lane]->shake_hands(attaching(lane), reply));
  }
  wire::Handshake attaching(uint32_t lane) const {
    wire::Handshake question;
    question.kind = wire::HandshakeKind::kAttach;
    question.lane = lane;
    question.instance = welcome.instance;
    question.session = welcome.session;
    question.secret = welcome.secret;
    question.epoch = welcome.epoch;
    return question;
  }
};

wire::InvocationFrame echo_frame(uint64_t request_id, AddressSpaceId space) {
  wire::InvocationFrame frame;
  frame.request_id = request_id;
  frame.space = space;
  frame.argument_count = 2;
  frame.arguments = {40, 2};
  return frame;
}

// The node, and a client of it that behaves.
struct World {
  std::unique_ptr<MemoryNode> node;
  std::unique_ptr<TcpServer> server;
  os::TcpAddress address;
  std::unique_ptr<Client> good;
  OperatorId echo_operator;
  uint64_t sequence = 0;

  World() {
    NodeConfig config;
    config.pool.size = Bytes{8 * kMiB};
    config.data_limit = Bytes{1 * kMiB};
    config.natives = {{"echo", echo}};
    node = std::move(*MemoryNode::create(config, {}));
    ServerConfig server_config;
    server_config.workers = 1;
    server_config.hello_timeout = 600s;
    server_config.lease = 1ms;  // what a script leaves behind goes at once
    server_config.io = os::IoBackend::kSockets;
    auto serving = TcpServer::create("127.0.0.1:0", *node, server_config);
    REQUIRE_HERE(serving.has_value());
    server = std::move(*serving);
    address = *os::resolve_tcp(server->url().substr(6));
    good = std::make_unique<Client>(*server, address);
    good->attach(0, address);
    echo_operator = ask_info();
  }
  OperatorId ask_info() const {
    const auto info = wire::decode_info(good->ask(wire::ControlOperation::kInfo, 2, {}));
    for (const auto& [name, id] : info->operators)
      if (name == "echo") return id;
    REQUIRE_HERE(false);
    return {};
  }
  void check_good_client() {
    auto frame = echo_frame(stream_request_id(0, ++sequence), good->space);
    frame.operation = echo_operator;
    Stream message;
    append_message(message, frame, {});
    good->lanes[0]->send(message, message.size());
    wire::ReplyFrame reply;
    REQUIRE_HERE(good->lanes[0]->receive_reply(reply));
    REQUIRE_HERE(reply.request_id == frame.request_id && reply.outcome.results[0] == 42);
  }
};

// A handshake whose bytes the input changes. The node answers it, right or wrong. True: it has taken the client's
// session up, so that the older connections are dead.
bool try_handshake(World& world, const Client& client, Input& input, size_t piece) {
  wire::Handshake question = client.attaching(input.byte() % 2);
  question.kind = static_cast<wire::HandshakeKind>(1 + input.byte() % 3);
  std::array<std::byte, wire::kHandshakeBytes> asked;
  wire::encode(question, asked);
  const uint8_t what = input.byte();
  if (what % 4 != 0) {
    const size_t at = input.number<uint16_t>() % (asked.size() - sizeof(uint64_t));
    const auto field = input.take(1 + input.byte() % 8);
    for (size_t i = 0; i < field.size() && at + i < asked.size(); i++) asked[at + i] = field[i];
  }
  if (what % 4 > 1) {
    const uint64_t checksum = hash_bytes(std::span(asked).first(asked.size() - sizeof(uint64_t)));
    std::memcpy(asked.data() + asked.size() - sizeof checksum, &checksum, sizeof checksum);
  }
  wire::Handshake read;
  const bool is_ours = wire::decode(asked, read) == wire::DecodeStatus::kOk;
  const Connection connection(*world.server, world.address);
  connection.send(asked, piece);
  wire::HandshakeReply reply;
  const bool is_welcome = connection.receive_welcome(reply);
  REQUIRE_HERE(is_ours || !is_welcome);
  if (!is_welcome) return false;
  const bool is_same = read.session == client.welcome.session && read.secret == client.welcome.secret &&
                       read.instance == client.welcome.instance;
  REQUIRE_HERE(read.kind == wire::HandshakeKind::kOpen || is_same);
  return read.kind == wire::HandshakeKind::kResume;
}

Stream write_questions(Input& input) {
  Stream stream;
  const uint32_t count = 1 + input.byte() % 4;
  for (uint32_t i = 0; i < count; i++) {
    const auto body = input.take(input.byte() % 64);
    const size_t begin = stream.size();
    const uint8_t what = input.byte() % 4;
    if (what == 3) {
      append(stream, body);
      continue;
    }
    const TenantId tenant{input.byte() % 8 == 7 ? 1u : 0u};
    const auto operation = static_cast<wire::ControlOperation>(1 + input.byte() % 9);
    append(stream, wire::encode_request(operation, 10 + i, tenant, body));
    if (what == 1) damage(stream, begin, input);
    if (what == 2) forge_header(stream, begin, input);
  }
  return stream;
}

// Questions on the client's control connection, ended by one that shows whether the node still listens.
void ask_questions(const Client& client, Input& input, size_t piece) {
  Stream stream = write_questions(input);
  append(stream, wire::encode_request(wire::ControlOperation::kInfo, 99, {}, {}));
  std::vector<wire::ControlHeader> questions;
  const End end = read_questions(stream, questions);
  client.control.send(stream, piece);
  for (const auto& question : questions) {
    wire::Body bytes(wire::kControlHeaderBytes);
    if (!client.control.receive(bytes)) {
      REQUIRE_HERE(end == End::kBroken);
      return;
    }
    const auto header = wire::decode_control_header(bytes);
    REQUIRE_HERE(header && header->kind == wire::FrameKind::kControlReply);
    wire::Body body(header->body_bytes);
    if (!client.control.receive(body)) {
      REQUIRE_HERE(end == End::kBroken);
      return;
    }
    REQUIRE_HERE(wire::check_body(*header, body).has_value() && header->request_id == question.request_id);
  }
  if (end != End::kBroken) return;
  wire::Body nothing(1);
  REQUIRE_HERE(!client.control.receive(nothing));
}

Stream write_requests(const World& world, const Client& client, Input& input) {
  Stream stream;
  const uint32_t count = 1 + input.byte() % 6;
  for (uint32_t i = 0; i < count && stream.size() < kMaxPayloadBytes; i++) {
    const size_t begin = stream.size();
    const uint8_t kind = input.byte() % 8;
    if (kind == 7) {
      append(stream, input.take(1 + input.byte() % 160));
      continue;
    }
    const auto payload = some_payload(input);
    auto frame = echo_frame(stream_request_id(input.byte() % kSlots, 1 + input.byte() % 8),
                            input.byte() % 4 == 3 ? world.good->space : client.space);
    frame.operation = input.byte() % 4 == 3 ? OperatorId{input.byte()} : world.echo_operator;
    frame.payload_bytes = static_cast<uint32_t>(payload.size());
    frame.reply_room = input.number<uint32_t>() % (kMaxReplyBytes + 1);
    append_message(stream, frame, payload);
    if (kind == 3) {  // and once more, as after a resumption, but with another room for its answer
      frame.reply_room = input.byte();
      append_message(stream, frame, payload);
    }
    if (kind == 4) damage(stream, begin, input);
    if (kind == 5) forge(stream, begin, input);
    if (kind == 6) stream.resize(begin + input.number<uint16_t>() % (stream.size() - begin));
  }
  return stream;
}

// What the node answers of these. A straggler (an older request of its slot than the last) is dropped; nothing
// else is. What may be run again is not remembered and never a straggler: here that is a forged one-sided read, which
// is refused. The node has acted on all of them, also where it hangs up behind them and its answers are lost.
std::vector<wire::InvocationFrame> drop_stragglers(Client& client, std::span<const wire::InvocationFrame> requests) {
  std::vector<wire::InvocationFrame> answered;
  for (const auto& request : requests) {
    uint64_t& latest = client.last[slot_of_request(request.request_id)];
    const bool is_repeatable = request.operation == kOneSidedRead;
    if (is_repeatable || request.request_id >= latest) answered.push_back(request);
    if (!is_repeatable) latest = std::max(latest, request.request_id);
  }
  return answered;
}

// Requests on a lane, ended by one that shows whether the node still listens.
void send_requests(World& world, Client& client, uint32_t lane, Input& input, size_t piece) {
  if (client.lanes[lane] != nullptr) return;  // a lane that has been spoilt before
  client.attach(lane, world.address);
  Stream stream = write_requests(world, client, input);
  append_message(stream, echo_frame(kSentinel, {}), {});
  std::vector<wire::InvocationFrame> requests;
  const End end = read_all(stream, requests, [](const wire::InvocationFrame& frame) {
    return slot_of_request(frame.request_id) < kSlots;
  });
  const Connection& connection = *client.lanes[lane];
  connection.send(stream, piece);
  for (const auto& request : drop_stragglers(client, requests)) {
    wire::ReplyFrame reply;
    if (!connection.receive_reply(reply)) {
      REQUIRE_HERE(end == End::kBroken);
      return;
    }
    REQUIRE_HERE(reply.request_id == request.request_id && reply.outcome.reply_bytes <= request.reply_room);
  }
  if (end != End::kBroken) return;
  wire::ReplyFrame nothing;
  REQUIRE_HERE(!connection.receive_reply(nothing));
}

}  // namespace

// The node lives for as long as the process.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static World& world = *new World;  // for as long as the process
  const size_t piece = 1 + data[0] * size_t{64};
  Input input(std::span(data, size).subspan(1));
  Client client(*world.server, world.address);
  for (int i = 0; i < 4 && !input.is_empty(); i++) {
    switch (input.byte() % 4) {
      case 0:
        if (try_handshake(world, client, input, piece)) i = 4;
        break;
      case 1:
        ask_questions(client, input, piece);
        i = 4;
        break;
      case 2: send_requests(world, client, 0, input, piece); break;
      case 3: send_requests(world, client, 1, input, piece); break;
    }
  }
  world.check_good_client();
  return 0;
}
