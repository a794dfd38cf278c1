// What the shm transport does when the other side dies, stops, lies or never speaks.
#include <csignal>
#include <functional>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

#include "nic/wire/control.h"
#include "runtime/os/clock.h"
#include "runtime/os/futex.h"
#include "runtime/os/memory.h"
#include "runtime/os/socket.h"
#include "tests/unit/nic/transport/test_node.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::testing;
using namespace std::chrono_literals;

namespace {

// A child process, made while this one has a single thread; killed at the end.
class Child {
 public:
  template <typename Body>
  explicit Child(Body body) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      alarm(30);  // whatever happens to the test, this process ends
      body(ready[1]);
      for (;;) pause();
    }
    close(ready[1]);
    char byte = 0;
    const bool is_ready = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    REQUIRE(is_ready);
  }
  ~Child() { end(SIGKILL); }
  void resume() const { kill(pid_, SIGCONT); }
  // Returns when every thread of the child stands still.
  void stop() const {
    kill(pid_, SIGSTOP);
    int status = 0;
    REQUIRE(waitpid(pid_, &status, WUNTRACED) == pid_);
    REQUIRE(WIFSTOPPED(status));
  }
  void end(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

void say_ready(int fd) {
  if (write(fd, "r", 1) != 1) _exit(1);
}

Child node_process(const std::string& url) {
  return Child([&url](int ready) {
    auto node = MemoryNode::create(test_config(), {});
    if (!node) _exit(1);
    auto server = serve(url, **node, {});
    if (!server) _exit(1);
    say_ready(ready);
    for (;;) pause();
  });
}

std::unique_ptr<Channel> connect_within(const std::string& url, std::chrono::milliseconds timeout) {
  ConnectOptions options;
  options.node_timeout = timeout;
  auto channel = nic::connect(url, options);
  if (!channel) FAIL(channel.error().message);
  return std::move(*channel);
}

// Short for a test that has to wait for its end, long for a busy machine that has to answer within it.
constexpr auto kShortBound = 2s;

void check_lost(Channel& channel) {
  const auto start = os::monotonic_now();
  CHECK(channel.is_lost());
  CHECK(channel.call({}, {}).call == CallStatus::kNodeLost);
  CHECK_FALSE(channel.post({}, {}).is_valid());
  const auto info = channel.info();
  REQUIRE_FALSE(info);
  CHECK(info.error().code == ErrorCode::kUnavailable);
  CHECK(os::monotonic_now() - start < 20s);  // less than the usual bound: a lost node is not waited for again
}

}  // namespace

TEST_CASE("a node that is killed is noticed while it is waited for") {
  const SocketPath socket;
  Child node = node_process(socket.url());
  const auto channel = connect_within(socket.url(), 30s);
  const OperatorId hold = operator_named(*channel, "hold");
  const AddressSpaceId space = *channel->create_space(1);
  const Ticket posted = channel->post({hold, space, {}}, {});
  REQUIRE(posted.is_valid());
  std::atomic<uint32_t> lost{0};
  std::vector<std::jthread> callers;
  for (int i = 0; i < 3; i++)
    callers.emplace_back([&] { lost += channel->call({hold, space, {}}, {}).call == CallStatus::kNodeLost; });
  usleep(20'000);  // sleep: the callers are asleep by now, or will be: both must end
  const auto killed_at = os::monotonic_now();
  node.end(SIGKILL);
  callers.clear();
  CHECK(os::monotonic_now() - killed_at < 20s);  // not the 30 s of the bound
  CHECK(lost == 3);
  CHECK(channel->is_done(posted));
  CHECK(channel->collect(posted).call == CallStatus::kNodeLost);
  check_lost(*channel);
}

TEST_CASE("a node that was killed between calls is noticed at the next") {
  const SocketPath socket;
  Child node = node_process(socket.url());
  const auto channel = connect_within(socket.url(), 30s);
  const OperatorId echo = operator_named(*channel, "echo");
  const AddressSpaceId space = *channel->create_space(1);
  CHECK(channel->call({echo, space, {}}, {}).call == CallStatus::kAnswered);
  node.end(SIGKILL);
  const auto start = os::monotonic_now();
  CHECK(channel->call({echo, space, {}}, {}).call == CallStatus::kNodeLost);
  CHECK(os::monotonic_now() - start < 20s);  // not the 30 s of the bound
  check_lost(*channel);
}

TEST_CASE("a node that stands still is lost when the bound on waiting has passed, and stays lost") {
  const SocketPath socket;
  Child node = node_process(socket.url());
  const auto channel = connect_within(socket.url(), kShortBound);
  const OperatorId echo = operator_named(*channel, "echo");
  const AddressSpaceId space = *channel->create_space(1);
  node.stop();
  const auto start = os::monotonic_now();
  CHECK(channel->call({echo, space, {}}, {}).call == CallStatus::kNodeLost);
  const auto waited = os::monotonic_now() - start;
  CHECK(waited >= kShortBound);
  CHECK(waited < 20s);
  node.resume();
  check_lost(*channel);
}

TEST_CASE("a question on the control path is bounded too") {
  const SocketPath socket;
  Child node = node_process(socket.url());
  const auto channel = connect_within(socket.url(), kShortBound);
  node.stop();
  const auto info = channel->info();
  REQUIRE_FALSE(info);
  CHECK(info.error().code == ErrorCode::kTimedOut);
  CHECK(info.error().message.ends_with("start it again"));
  check_lost(*channel);
}

TEST_CASE("a dead client's address spaces are reaped, though a child of it holds its socket") {
  const SocketPath socket;
  int start[2];
  REQUIRE(pipe(start) == 0);
  // The client is forked before the node's threads exist, and waits for the node.
  Child client([&](int ready) {
    say_ready(ready);
    char byte = 0;
    if (read(start[0], &byte, 1) != 1) _exit(1);
    static std::unique_ptr<Channel> channel = connect_within(socket.url(), 30s);
    if (!channel->create_space(512) || !channel->create_space(512)) _exit(1);
    if (fork() == 0) {
      alarm(5);
      pause();
    }
  });
  const auto node = make_node();
  const auto server = serve(socket.url(), *node, {});
  REQUIRE(server);
  REQUIRE(write(start[1], "g", 1) == 1);
  REQUIRE(eventually([&] { return node->stats().spaces == 2; }));
  client.end(SIGKILL);
  CHECK(eventually([&] { return node->stats().spaces == 0 && node->stats().sessions == 0; }));
  close(start[0]);
  close(start[1]);
}

TEST_CASE("closing a channel gives back what its session had") {
  const Link link(Link::Kind::kShm);
  {
    const auto channel = link.connect();
    REQUIRE(channel->create_space(512));
    CHECK(link.node().stats().spaces == 1);
  }
  CHECK(eventually([&] { return link.node().stats().spaces == 0 && link.node().stats().sessions == 0; }));
}

TEST_CASE("a node that is not there is an error that says how to start it") {
  const SocketPath socket;
  const auto channel = nic::connect(socket.url(), {});
  REQUIRE_FALSE(channel);
  CHECK(channel.error().code == ErrorCode::kUnavailable);
  CHECK(channel.error().message.find("tiara node --listen " + socket.url()) != std::string::npos);
}

TEST_CASE("a socket file that a dead node left is replaced; a live node's, or any other file, is not") {
  const SocketPath socket;
  {
    Child dead = node_process(socket.url());
    dead.end(SIGKILL);
  }
  REQUIRE(access(socket.path().c_str(), F_OK) == 0);
  const auto node = make_node();
  const auto first = serve(socket.url(), *node, {});
  REQUIRE(first);
  const auto second = serve(socket.url(), *node, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("another node serves this socket") != std::string::npos);
  CHECK(nic::connect(socket.url(), {}));  // the failed attempt took nothing from the first

  CHECK_FALSE(serve("shm:///dev/null", *node, {}));
  CHECK_FALSE(serve("shm:///nonexistent/dir/x.sock", *node, {}));
  CHECK_FALSE(serve("shm://" + std::string(200, 'x'), *node, {}));
}

TEST_CASE("connections that say nothing, or nonsense, are closed and others are served") {
  const auto node = make_node();
  const SocketPath socket;
  ServerConfig config;
  config.hello_timeout = kShortBound;  // also the time that the speakers have
  const auto server = serve(socket.url(), *node, config);
  REQUIRE(server);
  const auto connect_raw = [&] { return std::move(*os::connect_unix(socket.path(), os::monotonic_now() + 30s)); };
  const UniqueFd silent = connect_raw();
  std::vector<UniqueFd> noisy;
  const auto garbage = std::vector<std::byte>(300, std::byte{0x5a});
  const auto too_early = wire::encode_request(wire::ControlOperation::kInfo, 1, {}, {});
  const auto bad_hello = wire::encode_request(wire::ControlOperation::kHello, 1, {}, garbage);
  for (const auto& bytes : {garbage, too_early, bad_hello}) {
    noisy.push_back(connect_raw());
    REQUIRE(os::send_all(noisy.back(), bytes, os::monotonic_now() + 30s));
  }
  const auto channel = connect_within(socket.url(), 30s);
  CHECK(channel->info());
  for (const UniqueFd& fd : noisy) CHECK(eventually([&] { return os::has_hung_up(fd); }));
  CHECK(eventually([&] { return os::has_hung_up(silent); }));
  CHECK(channel->info());
  CHECK(node->stats().sessions == 1);
}

namespace {

// Says hello by hand, as a client that then does what it likes with the segment.
struct RawSession {
  explicit RawSession(const std::string& path) {
    const auto deadline = os::monotonic_now() + 30s;
    socket = std::move(*os::connect_unix(path, deadline));
    const auto hello =
        wire::encode_request(wire::ControlOperation::kHello, 1, {}, wire::encode(wire::Hello{8, ""}));
    REQUIRE(os::send_all(socket, hello, deadline));
    std::array<std::byte, wire::kControlHeaderBytes> bytes;
    auto fds = os::receive_all_with_fds(socket, bytes, deadline);
    REQUIRE(fds);
    const auto header = wire::decode_control_header(bytes);
    wire::Body body(header->body_bytes);
    REQUIRE(os::receive_all(socket, body, deadline));
    const auto welcome = wire::decode_welcome(body);
    REQUIRE(welcome->slots == 8);
    segment = std::move(*os::Mapping::shared((*fds)[0], Bytes{welcome->segment_bytes}));
    board = std::move((*fds)[1]);
    doorbell = std::move((*fds)[2]);
  }
  wire::SegmentHeader& header() { return *reinterpret_cast<wire::SegmentHeader*>(segment.data()); }
  wire::SegmentSlot& slot(uint32_t index) {
    return reinterpret_cast<wire::SegmentSlot*>(segment.data() + wire::kSlotsOffset)[index];
  }
  UniqueFd socket, board, doorbell;
  os::Mapping segment;
};

}  // namespace

TEST_CASE("a client that scribbles over its segment harms nobody else") {
  const Link link(Link::Kind::kShm);
  RawSession hostile(link.socket().path());
  CHECK_FALSE(os::Mapping::shared(hostile.board, Bytes{wire::kBoardBytes}));  // the board is for reading
  CHECK(ftruncate(hostile.board.get(), 0) != 0);

  hostile.header().submitted[0] = ~uint64_t{0};  // slots that do not exist, and frames of zeros in those that do
  hostile.header().submitted[1] = ~uint64_t{0};
  hostile.header().rung_at = ~uint64_t{0};
  os::signal_event(hostile.doorbell);
  CHECK(eventually([&] { return link.node().stats().counts.refused >= 16; }));
  wire::ReplyFrame reply;
  REQUIRE(wire::decode(hostile.slot(7).reply, reply) == wire::DecodeStatus::kOk);
  CHECK(reply.outcome.status == Status::kRefused);
  CHECK(reply.outcome.code == static_cast<uint16_t>(Refusal::kMalformedFrame));

  wire::InvocationFrame frame;  // well-formed, for another tenant
  frame.tenant = {5};
  frame.operation = {1};
  wire::encode(frame, hostile.slot(0).invocation);
  hostile.slot(0).state = 12345;
  hostile.header().submitted[0].fetch_or(1);
  os::signal_event(hostile.doorbell);
  CHECK(eventually([&] { return hostile.slot(0).state == static_cast<uint32_t>(wire::SlotState::kDone); }));
  REQUIRE(wire::decode(hostile.slot(0).reply, reply) == wire::DecodeStatus::kOk);
  CHECK(reply.outcome.code == static_cast<uint16_t>(Refusal::kNotAuthorised));

  const auto channel = link.connect();
  const OperatorId echo = operator_named(*channel, "echo");
  CHECK(channel->call({echo, *channel->create_space(1), {}}, {}).outcome.status == Status::kOk);
}

namespace {

// A node that welcomes one client rightly and answers its first call wrongly.
class LyingNode {
 public:
  explicit LyingNode(std::function<void(wire::SegmentSlot&, wire::InvocationFrame)> lie) {
    listener_ = std::move(*os::listen_unix(socket_.path()));
    thread_ = std::jthread([this, lie](std::stop_token stop) { serve(stop, lie); });
  }
  std::string url() const { return socket_.url(); }

 private:
  void serve(const std::stop_token& stop, const std::function<void(wire::SegmentSlot&, wire::InvocationFrame)>& lie) {
    UniqueFd client;
    while (!client.is_open() && !stop.stop_requested()) client = os::accept_unix(listener_);
    const auto deadline = os::monotonic_now() + 30s;
    const auto hello = wire::encode_request(wire::ControlOperation::kHello, 0, {}, wire::encode(wire::Hello{4, ""}));
    wire::Body received(hello.size());
    if (!os::receive_all(client, received, deadline)) return;
    const auto header = wire::decode_control_header(received);
    constexpr uint32_t kSlots = 4;
    const UniqueFd segment = std::move(*os::create_memfd("test", Bytes{wire::segment_bytes(kSlots)}));
    const UniqueFd board = std::move(*os::create_memfd("test", Bytes{wire::kBoardBytes}));
    const auto mapping = std::move(*os::Mapping::shared(segment, Bytes{wire::segment_bytes(kSlots)}));
    const auto board_mapping = std::move(*os::Mapping::shared(board, Bytes{wire::kBoardBytes}));
    if (!os::seal_memfd(segment, os::Seal::kSize) || !os::seal_memfd(board, os::Seal::kSize)) return;
    auto& shared = *reinterpret_cast<wire::SegmentHeader*>(mapping.data());
    shared.magic = reinterpret_cast<wire::Board*>(board_mapping.data())->magic = wire::kShmMagic;
    shared.version = reinterpret_cast<wire::Board*>(board_mapping.data())->version = wire::kShmVersion;
    const UniqueFd doorbell = std::move(*os::create_event());
    const wire::Welcome welcome{1, {}, kSlots, 0, wire::segment_bytes(kSlots), wire::kBoardBytes};
    const std::array<int, 3> fds{segment.get(), board.get(), doorbell.get()};
    (void)os::try_send(client, wire::encode_reply(*header, wire::encode(welcome)), fds);
    while (shared.submitted[0].load() == 0 && !stop.stop_requested()) usleep(100);  // sleep: a worker's poll
    auto& slot = *reinterpret_cast<wire::SegmentSlot*>(mapping.data() + wire::kSlotsOffset);
    wire::InvocationFrame frame;
    if (wire::decode(slot.invocation, frame) != wire::DecodeStatus::kOk) return;
    lie(slot, frame);
    os::futex_wake_all(slot.state, os::FutexScope::kShared);
    while (!stop.stop_requested()) usleep(100);  // sleep: a worker's poll
  }

  SocketPath socket_;
  UniqueFd listener_;
  std::jthread thread_;
};

void answer(wire::SegmentSlot& slot, const wire::ReplyFrame& reply) {
  wire::encode(reply, slot.reply);
  slot.state = static_cast<uint32_t>(wire::SlotState::kDone);
}

}  // namespace

TEST_CASE("a client does not believe a node that lies") {
  using Lie = std::function<void(wire::SegmentSlot&, wire::InvocationFrame)>;
  const Lie another_request = [](auto& slot, auto frame) { answer(slot, {frame.request_id + 1, {}, {}}); };
  const Lie too_many_bytes = [](auto& slot, auto frame) {
    wire::ReplyFrame reply{frame.request_id, {}, {}};
    reply.outcome.reply_bytes = frame.reply_room + 1;
    answer(slot, reply);
  };
  const Lie nonsense = [](auto& slot, auto) {
    slot.reply.fill(std::byte{0x11});
    slot.state = static_cast<uint32_t>(wire::SlotState::kDone);
  };
  const Lie wild_state = [](auto& slot, auto) { slot.state = 99; };
  for (const Lie& lie : {another_request, too_many_bytes, nonsense, wild_state}) {
    const LyingNode node(lie);
    const auto channel = connect_within(node.url(), 30s);
    std::array<std::byte, 64> room{};
    const auto start = os::monotonic_now();
    CHECK(channel->call({{1}, {}, {}}, std::span(room).first(32)).call == CallStatus::kNodeLost);
    CHECK(os::monotonic_now() - start < 20s);
    CHECK(room == std::array<std::byte, 64>{});
    CHECK(channel->is_lost());
  }
}
