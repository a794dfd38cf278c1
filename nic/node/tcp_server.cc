#include "nic/node/tcp_server.h"

#include <algorithm>
#include <array>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/os/socket.h"

namespace tiara::nic {
namespace {

constexpr uint64_t kListenerEvent = 0;  // what an epoll event is about; connections have keys from 2
constexpr uint64_t kStopEvent = 1;

bool is_plain_handshake(std::span<const std::byte> bytes) {
  wire::Handshake question;
  return bytes.size() >= wire::kHandshakeBytes &&
         wire::decode(bytes.first<wire::kHandshakeBytes>(), question) == wire::DecodeStatus::kOk;
}

// What a client without TLS is told.
std::vector<std::byte> only_tls() {
  wire::HandshakeReply reply;
  reply.status = wire::HandshakeStatus::kNoPermission;
  reply.set_text("it speaks TLS only; add ?tls=FILE, the certificates to trust, to its address");
  std::vector<std::byte> bytes(wire::kHandshakeReplyBytes);
  wire::encode(reply, std::span(bytes).first<wire::kHandshakeReplyBytes>());
  return bytes;
}

// How a client that wants TLS begins: with a handshake record.
bool is_tls_hello(std::span<const std::byte> bytes) { return bytes.front() == std::byte{22}; }

}  // namespace

TcpServer::TcpServer(MemoryNode& node, const ServerConfig& config)
    : node_(node), config_(config), leases_(node, config.lease, config.serves) {}

Result<std::unique_ptr<TcpServer>> TcpServer::start(std::string_view host_port, MemoryNode& node,
                                                    const ServerConfig& config) {
  std::unique_ptr<TcpServer> server(new TcpServer(node, config));
  TIARA_TRY_VOID(server->set_up(host_port, Threads::kOwn));
  TIARA_TRY(server->thread_, os::Thread::start("tiara-control", [self = server.get()] { self->run(); }));
  return server;
}

Result<std::unique_ptr<TcpServer>> TcpServer::create(std::string_view host_port, MemoryNode& node,
                                                     const ServerConfig& config) {
  std::unique_ptr<TcpServer> server(new TcpServer(node, config));
  TIARA_TRY_VOID(server->set_up(host_port, Threads::kNone));
  return server;
}

Result<void> TcpServer::set_up(std::string_view host_port, Threads threads) {
  TIARA_TRY(const os::TcpAddress address, os::resolve_tcp(host_port));
  if (!config_.tls_certificate.empty() || !config_.tls_key.empty()) {
    TIARA_TRY(identity_, tls::Identity::of_node(config_.tls_certificate, config_.tls_key));
  }
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.is_open()) return std::unexpected(system_error("epoll_create1"));
  TIARA_TRY(stop_, os::create_event());
  TIARA_TRY_VOID(watch(stop_, kStopEvent, EPOLLIN));
  for (uint32_t i = 0; i < worker_count(config_); i++) {
    TIARA_TRY(auto worker, threads == Threads::kOwn ? TcpWorker::start(i, config_.io, counters_)
                                                    : TcpWorker::create(config_.io, counters_));
    workers_.push_back(std::move(worker));
  }
  TIARA_TRY(listener_, os::listen_tcp(address));
  TIARA_TRY(const os::TcpAddress bound, os::local_address(listener_));
  url_ = "tcp://" + os::to_string(bound);
  // Edge-triggered: when descriptors run out, a connection that cannot be accepted must not keep us busy.
  return watch(listener_, kListenerEvent, EPOLLIN | EPOLLET);
}

TcpServer::~TcpServer() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with run()
  if (stop_.is_open()) os::signal_event(stop_);
  thread_.join();
  workers_.clear();
  connections_.clear();
}

ServerStats TcpServer::stats() const {
  const LeaseTable::Stats leases = leases_.stats();
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {leases.away,    leases.resumed,
          leases.refused, leases.expired,
          read(counters_.malformed), read(counters_.corrupted), read(counters_.stragglers),
          read(counters_.insecure)};
}

Result<void> TcpServer::watch(const UniqueFd& fd, uint64_t event, uint32_t events) {
  epoll_event interest{};
  interest.events = events;
  interest.data.u64 = event;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &interest) != 0)
    return std::unexpected(system_error("epoll_ctl", "connection"));
  return {};
}

void TcpServer::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) (void)handle_events(milliseconds_to_next_deadline());
}

bool TcpServer::step() {
  int handled = handle_events(0);
  for (const auto& worker : workers_) handled += static_cast<int>(worker->step());
  return handled > 0;
}

// Waits at most so long for something to happen; how many events that were.
int TcpServer::handle_events(int milliseconds) {
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events.size(), milliseconds);
  for (int i = 0; i < count; i++) {
    const uint64_t event = events[static_cast<size_t>(i)].data.u64;
    if (event == kListenerEvent) accept_all();
    const auto found = connections_.find(event);
    if (found == connections_.end()) continue;  // dropped earlier in this batch, or nobody's event
    if (read(*found->second) == Keep::kNo) drop(event);
  }
  drop_silent();
  leases_.reap(os::monotonic_now());
  return count;
}

int TcpServer::milliseconds_to_next_deadline() const noexcept {
  os::Nanoseconds next = leases_.next_expiry().value_or(os::Nanoseconds::max());
  if (silent_connections_ != 0)
    for (const auto& [key, connection] : connections_)
      if (connection->session == nullptr) next = std::min(next, connection->hello_deadline);
  if (next == os::Nanoseconds::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - os::monotonic_now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void TcpServer::accept_all() {
  for (;;) {
    UniqueFd socket = os::accept_tcp(listener_);
    if (!socket.is_open()) return;
    if (connections_.size() >= config_.max_connections) continue;  // closed at once: the client sees the node as gone
    os::bound_silence(socket, config_.lease);
    auto connection = std::make_unique<Connection>();
    connection->key = next_key_++;
    connection->socket = std::move(socket);
    if (identity_ != nullptr && (connection->secured = SecuredStream::begin(*identity_)) == nullptr) continue;
    connection->hello_deadline = os::monotonic_now() + config_.hello_timeout;
    if (!watch(connection->socket, connection->key, EPOLLIN | EPOLLRDHUP)) continue;
    silent_connections_++;
    connections_.emplace(connection->key, std::move(connection));
  }
}

void TcpServer::drop_silent() {
  if (silent_connections_ == 0) return;
  std::vector<uint64_t> late;
  const os::Nanoseconds now = os::monotonic_now();
  for (const auto& [key, connection] : connections_)
    if (connection->session == nullptr && now >= connection->hello_deadline) late.push_back(key);
  for (const uint64_t key : late) drop(key);
}

void TcpServer::drop(uint64_t key) {
  const auto found = connections_.find(key);
  const std::unique_ptr<Connection> connection = std::move(found->second);
  connections_.erase(found);
  if (connection->session == nullptr)
    silent_connections_--;
  else
    leases_.disconnected(*connection->session, connection->epoch, os::monotonic_now());
  connection->socket.reset();
  if (!is_stopping_.load(std::memory_order_relaxed)) accept_all();  // there may be a descriptor for one that waits
}

// The client came back before its old connection was seen to be gone.
void TcpServer::drop_control_of(const StreamSession& session) {
  for (const auto& [key, connection] : connections_) {
    if (connection->session.get() != &session || connection->epoch == session.epoch()) continue;
    drop(key);
    return;
  }
}

TcpServer::Keep TcpServer::read(Connection& connection) {
  for (;;) {
    std::array<std::byte, 4096> room;
    size_t received = 0;
    switch (os::try_receive(connection.socket, room, received)) {
      case os::SocketStatus::kPeerGone: return Keep::kNo;
      case os::SocketStatus::kWouldBlock: return Keep::kYes;
      case os::SocketStatus::kDone: break;
    }
    if (take_in(connection, std::span(room).first(received)) == Keep::kNo) return Keep::kNo;
    if (connection.session == nullptr) {
      if (connection.inbox.empty()) continue;  // a TLS handshake is going on
      if (connection.secured == nullptr && is_tls_hello(connection.inbox)) return Keep::kNo;  // there is none here
      if (connection.inbox.size() < wire::kHandshakeBytes) continue;
      if (shake_hands(connection) == Keep::kNo) return Keep::kNo;
    }
    if (answer_questions(connection) == Keep::kNo) return Keep::kNo;
  }
}

// What came, into the inbox.
TcpServer::Keep TcpServer::take_in(Connection& connection, std::span<const std::byte> bytes) {
  if (connection.secured == nullptr) {
    connection.inbox.insert(connection.inbox.end(), bytes.begin(), bytes.end());
    return Keep::kYes;
  }
  std::vector<std::byte> to_send;
  const bool is_sound = connection.secured->receive(bytes, connection.inbox, to_send);
  if (!is_sound) {
    counters_.insecure.fetch_add(1, std::memory_order_relaxed);
    if (is_plain_handshake(bytes)) to_send = only_tls();
  }
  // Also an alert that tells the client why not.
  const bool is_sent =
      to_send.empty() || os::try_send(connection.socket, to_send, {}) == os::SocketStatus::kDone;
  return is_sound && is_sent ? Keep::kYes : Keep::kNo;
}

// A client that does not read is not waited for.
TcpServer::Keep TcpServer::send(Connection& connection, std::span<const std::byte> bytes) {
  std::vector<std::byte> sealed;
  if (connection.secured != nullptr) {
    if (!connection.secured->seal(bytes, sealed)) return Keep::kNo;
    bytes = sealed;
  }
  return os::try_send(connection.socket, bytes, {}) == os::SocketStatus::kDone ? Keep::kYes : Keep::kNo;
}

TcpServer::Keep TcpServer::shake_hands(Connection& connection) {
  wire::Handshake question;
  const auto status = wire::decode(std::span(connection.inbox).first<wire::kHandshakeBytes>(), question);
  LeaseTable::Opened opened;
  if (status == wire::DecodeStatus::kOk) {
    switch (question.kind) {
      case wire::HandshakeKind::kOpen: opened = leases_.open(question, config_.max_slots); break;
      case wire::HandshakeKind::kResume: opened = leases_.resume(question); break;
      case wire::HandshakeKind::kAttach: opened = leases_.attach(question); break;
    }
  } else {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    opened.reply.status = status == wire::DecodeStatus::kBadVersion ? wire::HandshakeStatus::kOtherVersion
                                                                    : wire::HandshakeStatus::kMalformed;
    opened.reply.set_text(wire::to_string(status));
  }
  connection.inbox.erase(connection.inbox.begin(), connection.inbox.begin() + wire::kHandshakeBytes);
  std::array<std::byte, wire::kHandshakeReplyBytes> bytes;
  wire::encode(opened.reply, bytes);
  const bool is_sent = send(connection, bytes) == Keep::kYes;
  if (opened.session == nullptr) return Keep::kNo;
  return hand_over(connection, question, std::move(opened)) == Keep::kYes && is_sent ? Keep::kYes : Keep::kNo;
}

TcpServer::Keep TcpServer::hand_over(Connection& connection, const wire::Handshake& question,
                                     LeaseTable::Opened opened) {
  if (question.kind != wire::HandshakeKind::kAttach) {
    connection.epoch = opened.reply.epoch;
    connection.session = std::move(opened.session);
    silent_connections_--;
    drop_control_of(*connection.session);
    return Keep::kYes;
  }
  // A client sends nothing on a lane before it has the answer.
  if (!connection.inbox.empty() || (connection.secured != nullptr && !connection.secured->is_drained()))
    return Keep::kNo;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket.get(), nullptr);
  const auto least = std::ranges::min_element(workers_, {}, [](const auto& worker) { return worker->lane_count(); });
  (*least)->add(std::move(opened.session), opened.reply.epoch, static_cast<wire::Lane>(question.lane),
                std::move(connection.socket), std::move(connection.secured));
  return Keep::kNo;  // the worker's now
}

TcpServer::Keep TcpServer::answer_questions(Connection& connection) {
  // The inbox never holds more than one request and what one read brings behind it.
  while (connection.inbox.size() >= wire::kControlHeaderBytes) {
    const auto header = wire::decode_control_header(connection.inbox);
    if (!header || header->kind != wire::FrameKind::kControlRequest) return Keep::kNo;
    const size_t length = wire::kControlHeaderBytes + header->body_bytes;
    if (connection.inbox.size() < length) break;
    const auto body = std::span(connection.inbox).subspan(wire::kControlHeaderBytes, header->body_bytes);
    if (!wire::check_body(*header, body)) return Keep::kNo;
    if (header->operation == wire::ControlOperation::kLetGo) leases_.let_go(*connection.session);
    const wire::Body reply = connection.session->answer(*header, body);
    if (send(connection, reply) == Keep::kNo) return Keep::kNo;
    connection.inbox.erase(connection.inbox.begin(), connection.inbox.begin() + static_cast<ptrdiff_t>(length));
  }
  return Keep::kYes;
}

}  // namespace tiara::nic
