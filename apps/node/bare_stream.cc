#include "apps/node/bare_stream.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <unordered_map>
#include <vector>

namespace tiara::apps::node {
namespace {

constexpr uint64_t kKey = 1;
constexpr size_t kStreamChunk = 256 * 1024;
constexpr os::Nanoseconds kIdle{1'000'000'000};

// The child's side: connections with even keys are echoes, odd ones streams.
class Server final : public os::StreamLoop::Owner {
 public:
  Server(os::StreamLoop& loop, uint32_t ask, uint32_t answer)
      : loop_(loop), ask_(ask), answer_(answer), stream_(kStreamChunk) {}
  void add(UniqueFd socket, bool is_stream) {
    const uint64_t key = 2 * ++count_ + (is_stream ? 1 : 0);
    if (!loop_.add(key, std::move(socket))) return;
    if (is_stream) loop_.send(key, stream_);
  }
  void received(uint64_t key, std::span<const std::byte> bytes) noexcept override {
    if (key % 2 != 0) return;
    size_t& asked = asked_[key];
    asked += bytes.size();
    if (asked < ask_) return;
    asked -= ask_;
    loop_.send(key, std::span(stream_).first(answer_));
  }
  void sent(uint64_t key) noexcept override {
    if (key % 2 != 0) loop_.send(key, stream_);
  }
  void broke(uint64_t key) noexcept override { loop_.remove(key); }
  void removed(uint64_t key) noexcept override { asked_.erase(key); }
  void woken() noexcept override {}

 private:
  os::StreamLoop& loop_;
  const uint32_t ask_, answer_;
  std::vector<std::byte> stream_;
  std::unordered_map<uint64_t, size_t> asked_;
  uint64_t count_ = 0;
};

[[noreturn]] void serve(const UniqueFd& echo, const UniqueFd& stream, uint32_t ask, uint32_t answer) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto loop = os::StreamLoop::create(os::IoBackend::kUring);
  if (!loop) _exit(1);
  Server server(**loop, ask, answer);
  os::AdaptiveSpin spin;
  for (;;) {
    if (UniqueFd socket = os::accept_tcp(echo); socket.is_open()) server.add(std::move(socket), false);
    if (UniqueFd socket = os::accept_tcp(stream); socket.is_open()) server.add(std::move(socket), true);
    // New connections are rare: a look at the listeners every 10 ms of idling is enough.
    for (int rounds = 0; rounds < 1000; rounds++) {
      const auto start = os::monotonic_now();
      const auto look = [&] { return (*loop)->run(server, os::Nanoseconds::zero()) != 0; };
      const bool is_busy = spin.wait(start, look, [] { return os::AdaptiveSpin::kNoCpu; }) ||
                           (*loop)->run(server, std::chrono::milliseconds(10)) != 0;
      spin.record(os::monotonic_now() - start);
      if (!is_busy) break;
    }
  }
}

}  // namespace

Result<std::unique_ptr<BareServer>> BareServer::start(uint32_t ask, uint32_t answer) {
  TIARA_TRY_VOID(os::probe_uring());
  TIARA_TRY(const os::TcpAddress any, os::resolve_tcp("127.0.0.1:0"));
  TIARA_TRY(const UniqueFd echo, os::listen_tcp(any));
  TIARA_TRY(const UniqueFd stream, os::listen_tcp(any));
  auto server = std::make_unique<BareServer>();
  TIARA_TRY(server->echo_, os::local_address(echo));
  TIARA_TRY(server->stream_, os::local_address(stream));
  server->pid_ = fork();
  if (server->pid_ < 0) return std::unexpected(system_error("fork"));
  if (server->pid_ == 0) serve(echo, stream, ask, answer);
  return server;
}

BareServer::~BareServer() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

class BareClient::Taker final : public os::StreamLoop::Owner {
 public:
  void received(uint64_t, std::span<const std::byte> bytes) noexcept override { taken += bytes.size(); }
  void sent(uint64_t) noexcept override {}
  void broke(uint64_t) noexcept override { is_broken = true; }
  void removed(uint64_t) noexcept override {}
  void woken() noexcept override {}
  uint64_t taken = 0;
  bool is_broken = false;
};

Result<std::unique_ptr<BareClient>> BareClient::connect(const os::TcpAddress& address) {
  auto client = std::make_unique<BareClient>();
  TIARA_TRY(client->loop_, os::StreamLoop::create(os::IoBackend::kUring));
  TIARA_TRY(UniqueFd socket, os::open_tcp(address, kIdle));
  if (const int error = os::connect_tcp(socket, address, std::chrono::seconds(5)); error != 0)
    return std::unexpected(system_error("connect", "the bare server", error));
  TIARA_TRY_VOID(client->loop_->add(kKey, std::move(socket)));
  return client;
}

bool BareClient::echo(uint32_t ask, uint32_t answer, uint64_t count, LatencyHistogram& latency) {
  Taker taker;
  const std::vector<std::byte> question(ask);
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t wanted = taker.taken + answer;
    const auto start = os::monotonic_now();
    loop_->send(kKey, question);
    const auto look = [&] {
      (void)loop_->run(taker, os::Nanoseconds::zero());
      return taker.taken >= wanted || taker.is_broken;
    };
    // Waits as our own client does (os/spin.h), so that waiting is not what is compared.
    (void)spin_.wait(start, look, [] { return os::AdaptiveSpin::kNoCpu; });
    while (taker.taken < wanted && !taker.is_broken) (void)loop_->run(taker, kIdle);
    if (taker.is_broken) return false;
    spin_.record(os::monotonic_now() - start);
    latency.record(static_cast<uint64_t>((os::monotonic_now() - start).count()));
  }
  return true;
}

uint64_t BareClient::stream(os::Nanoseconds time) {
  Taker taker;
  const auto end = os::monotonic_now() + time;
  while (os::monotonic_now() < end && !taker.is_broken) (void)loop_->run(taker, std::chrono::milliseconds(100));
  return taker.taken;
}

}  // namespace tiara::apps::node
