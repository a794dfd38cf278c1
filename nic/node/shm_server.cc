#include "nic/node/shm_server.h"

#include <algorithm>
#include <array>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nic/node/control_service.h"
#include "runtime/os/socket.h"

namespace tiara::nic {
namespace {

// What an epoll event is about: the listener, the end, or one of a connection's two descriptors.
constexpr uint64_t kListener = 0;
constexpr uint64_t kStop = 1;
constexpr uint64_t kFirstConnection = 1;
constexpr uint64_t socket_event(uint64_t key) { return key * 2; }
constexpr uint64_t process_event(uint64_t key) { return key * 2 + 1; }
static_assert(socket_event(kFirstConnection) > kStop);

// The process at the other end, so that its death is seen even while a forked child keeps the socket open. Closed
// where the kernel cannot say (another pid namespace, an old kernel).
UniqueFd open_peer(const UniqueFd& socket) noexcept {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0) return {};
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

}  // namespace

ShmServer::ShmServer(std::string path, MemoryNode& node, const ServerConfig& config) noexcept
    : path_(std::move(path)), node_(node), config_(config), next_key_(kFirstConnection) {}

Result<std::unique_ptr<ShmServer>> ShmServer::start(const std::string& path, MemoryNode& node,
                                                    const ServerConfig& config) {
  std::unique_ptr<ShmServer> server(new ShmServer(path, node, config));
  TIARA_TRY_VOID(server->set_up());
  TIARA_TRY(server->thread_, os::Thread::start("tiara-control", [self = server.get()] { self->run(); }));
  return server;
}

Result<void> ShmServer::set_up() {
  TIARA_TRY(board_fd_, os::create_memfd("tiara-board", Bytes{wire::kBoardBytes}));
  TIARA_TRY(board_, os::Mapping::shared(board_fd_, Bytes{wire::kBoardBytes}));
  TIARA_TRY_VOID(os::seal_memfd(board_fd_, os::Seal::kSizeAndWrite));
  auto& board = *reinterpret_cast<wire::Board*>(board_.data());
  board.magic = wire::kShmMagic;
  board.version = wire::kShmVersion;
  board.workers = worker_count(config_);
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.is_open()) return std::unexpected(system_error("epoll_create1"));
  TIARA_TRY(stop_, os::create_event());
  TIARA_TRY_VOID(watch(stop_, kStop, EPOLLIN));
  for (uint32_t i = 0; i < board.workers; i++) {
    TIARA_TRY(auto worker, ShmWorker::start(i, board.lines[i]));
    workers_.push_back(std::move(worker));
  }
  TIARA_TRY(listener_, os::listen_unix(path_));
  // Edge-triggered: when descriptors run out, a connection that cannot be accepted must not keep us busy.
  return watch(listener_, kListener, EPOLLIN | EPOLLET);
}

ShmServer::~ShmServer() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with run()
  if (stop_.is_open()) os::signal_event(stop_);
  thread_.join();
  while (!connections_.empty()) drop(connections_.begin()->first);
  workers_.clear();
  if (listener_.is_open()) unlink(path_.c_str());
}

Result<void> ShmServer::watch(const UniqueFd& fd, uint64_t event, uint32_t events) {
  epoll_event interest{};
  interest.events = events;
  interest.data.u64 = event;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &interest) != 0)
    return std::unexpected(system_error("epoll_ctl", "connection"));
  return {};
}

void ShmServer::run() noexcept {
  std::array<epoll_event, 64> events;
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), milliseconds_to_next_deadline());
    for (int i = 0; i < count; i++) {
      const uint64_t event = events[static_cast<size_t>(i)].data.u64;
      if (event == kListener) accept_all();
      const uint64_t key = event / 2;
      const auto found = connections_.find(key);
      if (found == connections_.end()) continue;  // dropped earlier in this batch, or nobody's event
      // A pidfd is readable when its process has ended: what it still said does not matter any more.
      if (event == process_event(key) || read_requests(*found->second) == Keep::kNo) drop(key);
    }
    drop_silent();
  }
}

int ShmServer::milliseconds_to_next_deadline() const noexcept {
  if (silent_connections_ == 0) return -1;
  os::Nanoseconds next = os::Nanoseconds::max();
  for (const auto& [key, connection] : connections_)
    if (connection->session == nullptr) next = std::min(next, connection->hello_deadline);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - os::monotonic_now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void ShmServer::accept_all() {
  for (;;) {
    UniqueFd socket = os::accept_unix(listener_);
    if (!socket.is_open()) return;
    if (connections_.size() >= config_.max_connections) continue;  // closed at once: the client sees the node as gone
    auto connection = std::make_unique<Connection>();
    connection->key = next_key_++;
    connection->process = open_peer(socket);
    connection->socket = std::move(socket);
    connection->hello_deadline = os::monotonic_now() + config_.hello_timeout;
    if (!watch(connection->socket, socket_event(connection->key), EPOLLIN | EPOLLRDHUP)) continue;
    if (connection->process.is_open() && !watch(connection->process, process_event(connection->key), EPOLLIN)) continue;
    silent_connections_++;
    connections_.emplace(connection->key, std::move(connection));
  }
}

void ShmServer::drop_silent() {
  if (silent_connections_ == 0) return;
  std::vector<uint64_t> late;
  const os::Nanoseconds now = os::monotonic_now();
  for (const auto& [key, connection] : connections_)
    if (connection->session == nullptr && now >= connection->hello_deadline) late.push_back(key);
  for (const uint64_t key : late) drop(key);
}

void ShmServer::drop(uint64_t key) {
  const auto found = connections_.find(key);
  const std::unique_ptr<Connection> connection = std::move(found->second);
  connections_.erase(found);
  if (connection->session == nullptr) {
    silent_connections_--;
  } else {
    // Invocations that still run end by themselves; the address spaces wait for them before they go.
    connection->worker->remove(*connection->session);
    connection->session->session().close();
  }
  connection->socket.reset();
  if (!is_stopping_.load(std::memory_order_relaxed)) accept_all();  // there may be a descriptor for one that waits
}

ShmServer::Keep ShmServer::read_requests(Connection& connection) {
  for (;;) {
    std::array<std::byte, 4096> room;
    size_t received = 0;
    switch (os::try_receive(connection.socket, room, received)) {
      case os::SocketStatus::kPeerGone: return Keep::kNo;
      case os::SocketStatus::kWouldBlock: return Keep::kYes;
      case os::SocketStatus::kDone: break;
    }
    connection.inbox.insert(connection.inbox.end(), room.begin(), room.begin() + static_cast<ptrdiff_t>(received));
    // The inbox never holds more than one request and what fits `room` behind it.
    while (connection.inbox.size() >= wire::kControlHeaderBytes) {
      const auto header = wire::decode_control_header(connection.inbox);
      if (!header || header->kind != wire::FrameKind::kControlRequest) return give_up();
      const size_t length = wire::kControlHeaderBytes + header->body_bytes;
      if (connection.inbox.size() < length) break;
      const auto body = std::span(connection.inbox).subspan(wire::kControlHeaderBytes, header->body_bytes);
      if (!wire::check_body(*header, body)) return give_up();
      if (answer(connection, *header, body) == Keep::kNo) return Keep::kNo;
      connection.inbox.erase(connection.inbox.begin(), connection.inbox.begin() + static_cast<ptrdiff_t>(length));
    }
  }
}

// On a connection whose bytes are no frames: where the next one begins is unknown.
ShmServer::Keep ShmServer::give_up() noexcept {
  malformed_.fetch_add(1, std::memory_order_relaxed);
  return Keep::kNo;
}

ShmServer::Keep ShmServer::answer(Connection& connection, const wire::ControlHeader& header,
                                  std::span<const std::byte> body) {
  if (connection.session == nullptr) {
    if (header.operation != wire::ControlOperation::kHello) return Keep::kNo;
    return welcome(connection, header, body);
  }
  const auto reply = wire::encode_reply(header, answer_control(connection.session->session(), header, body));
  // A client that does not read its answers is not waited for.
  return os::try_send(connection.socket, reply, {}) == os::SocketStatus::kDone ? Keep::kYes : Keep::kNo;
}

ShmServer::Keep ShmServer::welcome(Connection& connection, const wire::ControlHeader& header,
                                   std::span<const std::byte> body) {
  UniqueFd segment;
  const auto hello = wire::decode_hello(body);
  const Result<wire::Body> result =
      hello ? open_session(connection, *hello, segment) : Result<wire::Body>(std::unexpected(hello.error()));
  const auto reply = wire::encode_reply(header, result);
  if (!result) {
    (void)os::try_send(connection.socket, reply, {});
    return Keep::kNo;
  }
  const std::array<int, 3> fds{segment.get(), board_fd_.get(), connection.session->doorbell().get()};
  return os::try_send(connection.socket, reply, fds) == os::SocketStatus::kDone ? Keep::kYes : Keep::kNo;
}

Result<wire::Body> ShmServer::open_session(Connection& connection, const wire::Hello& hello, UniqueFd& segment) {
  TIARA_TRY(auto session, node_.open_session(hello.token, config_.serves));
  const uint32_t slots = std::clamp(hello.slots, wire::kMinSlots, std::min(config_.max_slots, wire::kMaxSlots));
  TIARA_TRY(ShmSession::Opened opened, ShmSession::open(std::move(session), slots));
  const auto least = std::ranges::min_element(workers_, {}, [](const auto& worker) { return worker->session_count(); });
  TIARA_TRY_VOID((*least)->add(opened.session));
  segment = std::move(opened.segment);
  connection.session = std::move(opened.session);
  connection.worker = least->get();
  silent_connections_--;
  const Session& made = connection.session->session();
  const auto worker = static_cast<uint32_t>(least - workers_.begin());
  return wire::encode(wire::Welcome{made.id().value, made.tenant(), slots, worker, wire::segment_bytes(slots),
                                    wire::kBoardBytes});
}

}  // namespace tiara::nic
