// Remote regions between real nodes: processes of `tiara node`, clients that register operators with them, and what the
// operators see of the other node's shared region, over shm and tcp, while it lives, is silent, and is dead.
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "nic/asm/assembler.h"
#include "nic/isa/program.h"
#include "nic/operators/library.h"
#include "nic/transport/connect.h"
#include "tests/unit/nic/transport/test_node.h"

namespace tiara::nic {
namespace {

using testing::eventually;
using testing::SocketPath;

// A `tiara node`, killed at the end.
class NodeProcess {
 public:
  explicit NodeProcess(std::vector<std::string> options) {
    const char* const tiara = std::getenv("TIARA");
    REQUIRE(tiara != nullptr);
    std::vector<std::string> words{tiara, "node", "--memory", "4M", "--workers", "1"};
    words.insert(words.end(), options.begin(), options.end());
    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe(pipe_ends.data()) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(pipe_ends[1], STDOUT_FILENO);
      close(pipe_ends[0]);
      close(pipe_ends[1]);
      std::vector<char*> argv;
      for (std::string& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(pipe_ends[1]);
    out_ = fdopen(pipe_ends[0], "r");
    read_urls();
  }
  ~NodeProcess() {
    kill_now();
    std::fclose(out_);
  }
  NodeProcess(const NodeProcess&) = delete;

  void kill_now() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void stop() const { kill(pid_, SIGSTOP); }
  void go_on() const { kill(pid_, SIGCONT); }

  const std::string& url() const { return url_; }
  const std::string& peers_url() const { return peers_url_; }
  std::unique_ptr<Channel> connect() const {
    auto channel = nic::connect(url_, {});
    if (!channel) FAIL(channel.error().message);
    return std::move(*channel);
  }

 private:
  // "tiara node: sharing SIZE with other nodes at URL", "tiara node: serving SIZE of memory at URL with ..."
  void read_urls() {
    std::array<char, 1024> line{};
    while (std::fgets(line.data(), line.size(), out_) != nullptr) {
      const std::string text(line.data());
      const size_t at = text.find(" at ") + 4;
      const std::string url = text.substr(at, text.find_first_of(" \n", at) - at);
      if (text.find(" sharing ") != std::string::npos) peers_url_ = url;
      if (text.find(" serving ") == std::string::npos) continue;
      url_ = url;
      return;
    }
    FAIL("the node did not start");
  }

  pid_t pid_ = -1;
  std::FILE* out_ = nullptr;
  std::string url_, peers_url_;
};

enum class Via { kShm, kTcp };

// Addresses to listen at: paths of this process, or any free port.
class Address {
 public:
  explicit Address(Via via) : via_(via) {}
  std::string url() const { return via_ == Via::kShm ? path_.url() : "tcp://127.0.0.1:0"; }

 private:
  Via via_;
  SocketPath path_;
};

std::vector<std::byte> container_of(const char* source) {
  const auto program = assemble(source, "test.tiara");
  if (!program) FAIL(program.error().message);
  return serialize(*program);
}

OperatorId register_source(Channel& channel, const char* source) {
  const auto id = channel.register_operator(container_of(source));
  if (!id) FAIL(id.error().message);
  return *id;
}

OperatorId register_from_library(Channel& channel, std::string_view name) {
  for (const BuiltinOperator& each : operators::builtin_operators())
    if (each.name == name) {
      const auto id = channel.register_operator(each.container);
      if (!id) FAIL(id.error().message);
      return *id;
    }
  FAIL("no operator " << name);
  return {};
}

Outcome run(Channel& channel, OperatorId id, std::vector<uint64_t> arguments, std::span<std::byte> room = {},
            std::vector<uint64_t> payload = {}) {
  const std::array parts{std::as_bytes(std::span(payload))};
  const Reply reply = channel.call({.operation = id, .space = {}, .arguments = arguments, .payload = parts}, room);
  REQUIRE(reply.call == CallStatus::kAnswered);
  return reply.outcome;
}

bool is_fault(const Outcome& outcome, Fault fault) {
  return outcome.status == Status::kFault && outcome.code == static_cast<uint16_t>(fault);
}

constexpr const char* kRemoteLoad = R"(
.operator remote_load
.version 1
.region peer r remote
.arg host 0 0xffffffffffffffff
.arg at 0 0xfffffffffffffff8 align 8
.results 1
  rld8 r4, peer@host[at]
  mov  r0, r4
  ret  1
)";

// Every remote instruction once: 1234 is stored at [at], loaded, replaced by 99 if it is 1234, raised by 5, swapped for
// 7; then 24 bytes are gathered.
constexpr const char* kEveryOperation = R"(
.operator every_operation
.version 1
.region peer rwa remote
.arg host 0 63
.arg at 0 0xffff8 align 8
.results 4
.reply 24
  li   r4, 1234
  rst8 peer@host[at], r4
  rld8 r5, peer@host[at]
  mov  r6, r5
  li   r7, 99
  rcas r6, peer@host[at], r7
  li   r7, 5
  rfaa r8, peer@host[at], r7
  li   r7, 7
  rswp r9, peer@host[at], r7
  li   r7, 24
  rgather peer@host[at], r7
  mov  r0, r5
  mov  r1, r6
  mov  r2, r8
  mov  r3, r9
  ret  4
)";

constexpr const char* kLocalStore = R"(
.operator local_store
.version 1
.region shared rw
.arg at 0 0xffff8 align 8
.arg value 0 0xffffffffffffffff
.results 1
  ld8  r4, shared[at]
  st8  shared[at], value
  mov  r0, r4
  ret  1
)";

// Adds 1 to a word of another node, `times` times.
constexpr const char* kCountThere = R"(
.operator count_there
.version 1
.region peer a remote
.arg host 0 63
.arg times 1 1000
.results 1
  li   r4, 1
  li   r5, 0
  loop r6, times, 1000 {
    rfaa r7, peer@host[r5], r4
  }
  mov  r0, r7
  ret  1
)";

// Waits until the node of `channel` has found host `host`.
bool finds(Channel& channel, OperatorId remote_load, uint64_t host) {
  return eventually([&] { return run(channel, remote_load, {host, 0}).status == Status::kOk; });
}

void check_every_operation(Via via) {
  const Address b_clients(via), b_peers(via), a_clients(via);
  const NodeProcess b({"--listen", b_clients.url(), "--shared", "64K", "--peers-listen", b_peers.url()});
  const NodeProcess a({"--listen", a_clients.url(), "--peer", "7=" + b.peers_url(), "--peer-timeout", "30s"});
  const auto at_a = a.connect(), at_b = b.connect();
  REQUIRE(finds(*at_a, register_source(*at_a, kRemoteLoad), 7));

  const OperatorId local = register_source(*at_b, kLocalStore);
  CHECK(run(*at_b, local, {72, 0x1111}).status == Status::kOk);
  CHECK(run(*at_b, local, {80, 0x2222}).status == Status::kOk);
  std::array<uint64_t, 3> gathered{};
  const OperatorId every = register_source(*at_a, kEveryOperation);
  const Outcome outcome = run(*at_a, every, {7, 64}, std::as_writable_bytes(std::span(gathered)));
  REQUIRE(outcome.status == Status::kOk);
  CHECK(outcome.results == std::array<uint64_t, 4>{1234, 1234, 99, 104});
  CHECK(outcome.counts.remote_operations == 6);
  CHECK(gathered == std::array<uint64_t, 3>{7, 0x1111, 0x2222});
  CHECK(run(*at_b, local, {64, 0}).results[0] == 7);  // it is B's own memory

  // The faults are the access's own, at the instruction that asked.
  const Outcome beyond = run(*at_a, every, {7, 64 * 1024}, std::as_writable_bytes(std::span(gathered)));
  CHECK(is_fault(beyond, Fault::kRegionBounds));
  CHECK(beyond.pc == 1);
  CHECK(is_fault(run(*at_a, every, {8, 64}), Fault::kRemoteUnavailable));
}

TEST_CASE("an operator loads, stores, changes and gathers another node's memory over shm") {
  check_every_operation(Via::kShm);
}
TEST_CASE("an operator loads, stores, changes and gathers another node's memory over tcp") {
  check_every_operation(Via::kTcp);
}

TEST_CASE("the multi-host lock takes all locks on two nodes or none") {
  const Address b_clients(Via::kShm), b_peers(Via::kShm), a_clients(Via::kShm);
  const Address c_clients(Via::kTcp), c_peers(Via::kTcp);
  const NodeProcess b({"--listen", b_clients.url(), "--shared", "64K", "--peers-listen", b_peers.url()});
  const NodeProcess c({"--listen", c_clients.url(), "--shared", "64K", "--peers-listen", c_peers.url()});
  const NodeProcess a({"--listen", a_clients.url(), "--peer", "1=" + b.peers_url(), "--peer", "2=" + c.peers_url(),
                       "--peer-timeout", "30s"});
  const auto at_a = a.connect();
  const OperatorId load = register_source(*at_a, kRemoteLoad);
  REQUIRE(finds(*at_a, load, 1));
  REQUIRE(finds(*at_a, load, 2));
  const OperatorId acquire = register_from_library(*at_a, "lock_acquire_all");
  const OperatorId release = register_from_library(*at_a, "lock_release_all");
  const std::vector<uint64_t> first{1, 0, 2, 8}, overlapping{1, 16, 2, 8};  // host, offset
  CHECK(run(*at_a, acquire, {5, 2}, {}, first).results[0] == 1);
  const Outcome held = run(*at_a, acquire, {6, 2}, {}, overlapping);
  CHECK(held.results[0] == 0);
  CHECK(held.results[2] == 5);
  CHECK(run(*at_a, load, {1, 16}).results[0] == 0);  // given back
  CHECK(run(*at_a, release, {5, 2}, {}, first).results[0] == 2);
  CHECK(run(*at_a, acquire, {6, 2}, {}, overlapping).results[0] == 1);
}

TEST_CASE("two nodes of one worker each that work on each other all the time come to an end") {
  const Address b_clients(Via::kShm), b_peers(Via::kTcp), a_clients(Via::kShm), a_peers(Via::kShm);
  // B can name A before A is there; A is told B's port.
  const NodeProcess b({"--listen", b_clients.url(), "--shared", "4K", "--peers-listen", b_peers.url(), "--peer",
                       "1=" + a_peers.url(), "--peer-timeout", "30s"});
  const NodeProcess a({"--listen", a_clients.url(), "--shared", "4K", "--peers-listen", a_peers.url(), "--peer",
                       "2=" + b.peers_url(), "--peer-timeout", "30s"});
  constexpr uint64_t kThreads = 2, kRounds = 3, kTimes = 200;
  const auto work = [&](const NodeProcess& node, uint64_t host) {
    const auto channel = node.connect();
    const OperatorId count = register_source(*channel, kCountThere);
    for (uint64_t round = 0; round < kRounds; ++round)
      if (run(*channel, count, {host, kTimes}).status != Status::kOk) return false;
    return true;
  };
  const auto at_a = a.connect(), at_b = b.connect();
  const OperatorId from_a = register_source(*at_a, kRemoteLoad), from_b = register_source(*at_b, kRemoteLoad);
  REQUIRE(finds(*at_a, from_a, 2));
  REQUIRE(finds(*at_b, from_b, 1));
  std::array<bool, 2 * kThreads> worked{};
  {
    std::vector<std::jthread> threads;
    for (uint64_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] { worked[i] = work(a, 2); });
      threads.emplace_back([&, i] { worked[kThreads + i] = work(b, 1); });
    }
  }
  for (const bool each : worked) CHECK(each);
  CHECK(run(*at_a, from_a, {2, 0}).results[0] == kThreads * kRounds * kTimes);
  CHECK(run(*at_b, from_b, {1, 0}).results[0] == kThreads * kRounds * kTimes);
}

void check_dead_peer(Via via) {
  const Address b_clients(via), b_peers(via), a_clients(via);
  const auto start_b = [&] {
    return std::make_unique<NodeProcess>(std::vector<std::string>{"--listen", b_clients.url(), "--shared", "4K",
                                                                  "--peers-listen", b_peers.url()});
  };
  auto b = start_b();
  const NodeProcess a({"--listen", a_clients.url(), "--peer", "7=" + b->peers_url(), "--peer-timeout", "1s"});
  const auto at_a = a.connect();
  const OperatorId load = register_source(*at_a, kRemoteLoad);
  REQUIRE(finds(*at_a, load, 7));

  // Alive but silent: a fault after the bound, and all is well when it answers again.
  b->stop();
  CHECK(eventually([&] { return is_fault(run(*at_a, load, {7, 0}), Fault::kRemoteUnavailable); }));
  b->go_on();
  CHECK(finds(*at_a, load, 7));

  b->kill_now();
  CHECK(eventually([&] { return is_fault(run(*at_a, load, {7, 0}), Fault::kRemoteUnavailable); }));
  CHECK(is_fault(run(*at_a, load, {7, 0}), Fault::kRemoteUnavailable));
  CHECK(at_a->info());  // A itself is well
  if (via == Via::kTcp) return;  // a new one would have another port
  b = start_b();
  CHECK(finds(*at_a, load, 7));
}

TEST_CASE("a silent and a dead peer are a fault of the program that asks for them, over shm") {
  check_dead_peer(Via::kShm);
}
TEST_CASE("a silent and a dead peer are a fault of the program that asks for them, over tcp") {
  check_dead_peer(Via::kTcp);
}

TEST_CASE("the address for peers serves nothing but the shared region") {
  for (const Via via : {Via::kShm, Via::kTcp}) {
    const Address clients(via), peers(via);
    const NodeProcess node({"--listen", clients.url(), "--shared", "4K", "--peers-listen", peers.url(), "--baselines"});
    auto channel = nic::connect(node.peers_url(), {});
    REQUIRE(channel);
    CHECK((*channel)->create_space(64).error().code == ErrorCode::kNoPermission);
    CHECK((*channel)->register_operator(container_of(kLocalStore)).error().code == ErrorCode::kNoPermission);
    const Outcome walk = run(**channel, testing::operator_named(**channel, "pt_stat"), {});
    CHECK(walk.status == Status::kRefused);
    CHECK(walk.code == static_cast<uint16_t>(Refusal::kNotAuthorised));
    CHECK(run(**channel, kOneSidedRead, {0, 8}).status == Status::kRefused);
    CHECK(run(**channel, testing::operator_named(**channel, "peer_load"), {8}).status == Status::kOk);
  }
}

TEST_CASE("a node without peers or a shared region refuses programs that want them, and says what to do") {
  const Address clients(Via::kShm);
  const NodeProcess node({"--listen", clients.url()});
  const auto channel = node.connect();
  const auto remote = channel->register_operator(container_of(kRemoteLoad));
  REQUIRE(!remote);
  CHECK(remote.error().message.find("--peer") != std::string::npos);
  const auto local = channel->register_operator(container_of(kLocalStore));
  REQUIRE(!local);
  CHECK(local.error().message.find("--shared") != std::string::npos);
}

}  // namespace
}  // namespace tiara::nic
