#include "nic/node/rdma_server.h"

#include <algorithm>
#include <array>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "nic/node/rdma_serve.h"
#include "runtime/os/socket.h"

namespace tiara::nic {
namespace {

// A silent client is asked for a sign of life this often in a lease.
constexpr int kProbesInLease = 4;

void set_port(os::TcpAddress& address, uint16_t port) noexcept {
  if (address.bytes.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(address.bytes).sin6_port = htons(port);
  else
    reinterpret_cast<sockaddr_in&>(address.bytes).sin_port = htons(port);
}

}  // namespace

Result<std::unique_ptr<NodeServer>> serve_rdma(std::string_view host_port, MemoryNode& node,
                                               const ServerConfig& config) {
  return RdmaServer::start(host_port, node, config);
}

RdmaServer::RdmaServer(MemoryNode& node, const ServerConfig& config)
    : node_(node), config_(config), leases_(node, config.lease, config.serves) {}

Result<std::unique_ptr<RdmaServer>> RdmaServer::start(std::string_view host_port, MemoryNode& node,
                                                      const ServerConfig& config) {
  std::unique_ptr<RdmaServer> server(new RdmaServer(node, config));
  TIARA_TRY_VOID(server->set_up(host_port));
  TIARA_TRY(server->thread_, os::Thread::start("tiara-control", [self = server.get()] { self->run(); }));
  return server;
}

Result<void> RdmaServer::set_up(std::string_view host_port) {
  TIARA_TRY(os::TcpAddress address, os::resolve_tcp(host_port));
  TIARA_TRY(verbs::Manager manager, verbs::Manager::create());
  manager_ = std::make_unique<verbs::Manager>(std::move(manager));
  TIARA_TRY(listener_, manager_->listen(address, os::kListenBacklog));
  set_port(address, verbs::Manager::port_of(listener_));
  url_ = "rdma://" + os::to_string(address);
  TIARA_TRY(mailbox_.event, os::create_event());
  const auto probe_every = std::clamp<std::chrono::milliseconds>(config_.lease / kProbesInLease,
                                                                 std::chrono::seconds(1), std::chrono::seconds(60));
  for (uint32_t i = 0; i < worker_count(config_); i++) {
    TIARA_TRY(auto worker, RdmaWorker::start(i, listener_, mailbox_, counters_, probe_every));
    pools_.emplace_back();
    if (node_.allows_one_sided()) {
      const auto pool = node_.pool().bytes().first(node_.pool().pool_region().size);
      TIARA_TRY(pools_.back(), worker->domain().adopt(pool, verbs::Access::kRead));
    }
    workers_.push_back(std::move(worker));
  }
  return {};
}

RdmaServer::~RdmaServer() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with run()
  if (mailbox_.event.is_open()) os::signal_event(mailbox_.event);
  thread_.join();
  for (const auto& worker : workers_) worker->stop();
  connections_.clear();  // all of a connection ends before the domain that it belongs to
  pools_.clear();
  workers_.clear();
}

ServerStats RdmaServer::stats() const {
  const LeaseTable::Stats leases = leases_.stats();
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {leases.away,    leases.resumed,
          leases.refused, leases.expired,
          read(counters_.malformed), read(counters_.corrupted), read(counters_.stragglers), 0};
}

void RdmaServer::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    wait();
    for (verbs::ManagerEvent event = manager_->next(); event.kind != verbs::ManagerEvent::Kind::kNone;
         event = manager_->next())
      handle(std::move(event));
    take_mail();
    drop_silent();
    leases_.reap(os::monotonic_now());
  }
}

void RdmaServer::wait() noexcept {
  os::Nanoseconds next = leases_.next_expiry().value_or(os::Nanoseconds::max());
  for (const auto& [key, connection] : connections_)
    if (connection.session == nullptr) next = std::min(next, connection.hello_deadline);
  int timeout = -1;
  if (next != os::Nanoseconds::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - os::monotonic_now());
    timeout = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
  }
  std::array<pollfd, 2> sources{{{manager_->descriptor(), POLLIN, 0}, {mailbox_.event.get(), POLLIN, 0}}};
  (void)poll(sources.data(), sources.size(), timeout);
  if (sources[1].revents == 0) return;
  uint64_t rings = 0;
  (void)!read(mailbox_.event.get(), &rings, sizeof rings);
}

void RdmaServer::handle(verbs::ManagerEvent event) {
  switch (event.kind) {
    case verbs::ManagerEvent::Kind::kRequest: accept(std::move(event)); return;
    case verbs::ManagerEvent::Kind::kDisconnected:
    case verbs::ManagerEvent::Kind::kRefused:
    case verbs::ManagerEvent::Kind::kFailed:
      for (const auto& [key, connection] : connections_)
        if (connection.ends->id.get() == event.id) return connection.worker->drop(key);
      return;
    case verbs::ManagerEvent::Kind::kNone:
    case verbs::ManagerEvent::Kind::kEstablished:
    case verbs::ManagerEvent::Kind::kAddressResolved:
    case verbs::ManagerEvent::Kind::kRouteResolved: return;
  }
}

// The worker knows the connection before the client does: what it sends at once finds receives and a reader.
void RdmaServer::accept(verbs::ManagerEvent request) {
  wire::RdmaHello hello;
  if (wire::decode(request.private_data(), hello) != wire::DecodeStatus::kOk) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    return verbs::Manager::reject(request.request);
  }
  if (connections_.size() >= config_.max_connections) return verbs::Manager::reject(request.request);
  RdmaWorker& worker = **std::ranges::min_element(
      workers_, {}, [](const auto& candidate) { return candidate->connection_count(); });
  auto made = make_connection(worker, std::move(request.request), hello);
  if (!made) return;  // it is refused with its identifier's end
  Connection connection;
  connection.ends = std::move(*made);
  connection.worker = &worker;
  connection.hello_deadline = os::monotonic_now() + config_.hello_timeout;
  const uint64_t key = connection.ends->key;
  std::array<std::byte, wire::kRdmaWelcomeBytes> welcome;
  wire::encode(wire::RdmaWelcome{connection.ends->slots}, welcome);
  const rdma_cm_id* const id = connection.ends->id.get();
  const verbs::Id& ours = connections_.emplace(key, std::move(connection)).first->second.ends->id;
  worker.add(connections_.at(key).ends);
  if (id == nullptr || verbs::Manager::accept(ours, welcome) != 0) worker.drop(key);
}

Result<std::shared_ptr<RdmaConnection>> RdmaServer::make_connection(RdmaWorker& worker, verbs::Id id,
                                                                    const wire::RdmaHello& hello) {
  auto made = std::make_shared<RdmaConnection>();
  made->key = next_key_++;
  made->hello = hello;
  made->slots = std::clamp(std::min(hello.slots, config_.max_slots), wire::kMinSlots, wire::kMaxSlots);
  made->id = std::move(id);
  // A reply to each slot, and as many again before the completion that tells of the first; at least two signalled ones.
  made->held.resize(std::max(2 * made->slots, 32u));
  const uint64_t messages = made->receive_count() + made->send_count();
  TIARA_TRY(made->memory, worker.domain().allocate(Bytes{round_up(messages * wire::kRdmaMessageBytes, kPageSize)},
                                                   verbs::Access::kNone));
  TIARA_TRY(made->queue, verbs::Queue::create(made->id, worker.domain(),
                                              {made->receive_count(), made->send_count()}, made->key));
  std::vector<verbs::Receive> receives;
  for (uint32_t i = 0; i < made->receive_count(); i++)
    receives.push_back({made->receive(i), static_cast<uint32_t>(wire::kRdmaMessageBytes),
                        made->memory.local_key(), i});
  if (!made->queue->post_receives(receives) || !made->queue->arm())
    return fail(ErrorCode::kSystem, "the device takes no receives");
  return made;
}

void RdmaServer::take_mail() {
  std::vector<RdmaWorker::Mail> mail;
  {
    const std::lock_guard lock(mailbox_.mutex);
    mail.swap(mailbox_.mail);
  }
  for (const RdmaWorker::Mail& letter : mail) {
    const auto found = connections_.find(letter.key);
    if (found == connections_.end()) continue;
    switch (letter.kind) {
      case RdmaWorker::Mail::Kind::kHandshake: shake_hands(found->second, letter.bytes); break;
      case RdmaWorker::Mail::Kind::kQuestion: answer_question(found->second, letter.bytes); break;
      case RdmaWorker::Mail::Kind::kGone: end(letter.key); break;
    }
  }
}

void RdmaServer::end(uint64_t key) {
  const auto found = connections_.find(key);
  const Connection connection = std::move(found->second);
  connections_.erase(found);
  if (connection.session != nullptr)
    leases_.disconnected(*connection.session, connection.epoch, os::monotonic_now());
}

void RdmaServer::drop_silent() {
  const os::Nanoseconds now = os::monotonic_now();
  for (auto& [key, connection] : connections_) {
    if (connection.session != nullptr || now < connection.hello_deadline) continue;
    connection.hello_deadline = os::Nanoseconds::max();
    connection.worker->drop(key);
  }
}

void RdmaServer::shake_hands(Connection& connection, std::span<const std::byte> bytes) {
  wire::Handshake question;
  const auto status = wire::decode(bytes.first<wire::kHandshakeBytes>(), question);
  LeaseTable::Opened opened;
  if (status != wire::DecodeStatus::kOk || question.kind == wire::HandshakeKind::kAttach) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    opened.reply.status = status == wire::DecodeStatus::kBadVersion ? wire::HandshakeStatus::kOtherVersion
                                                                    : wire::HandshakeStatus::kMalformed;
    opened.reply.set_text(wire::to_string(status));
  } else if (question.kind == wire::HandshakeKind::kOpen) {
    question.slots = std::min(question.slots, connection.ends->slots);  // those that have receives
    opened = leases_.open(question, config_.max_slots);
  } else {
    opened = leases_.resume(question);
  }
  RdmaConnection::Answer answer{wire::kRdmaHandshakeAnswer,
                                std::vector<std::byte>(wire::kRdmaHandshakeAnswerBytes)};
  const std::span<std::byte> out(answer.bytes);
  wire::encode(opened.reply, out.first<wire::kHandshakeReplyBytes>());
  wire::RdmaPool pool;
  const uint64_t key = connection.ends->key;
  if (opened.session == nullptr) return connection.worker->answer(key, std::move(answer));
  const auto worker = std::ranges::find(workers_, connection.worker, &std::unique_ptr<RdmaWorker>::get);
  const verbs::Registration& readable = pools_[static_cast<size_t>(worker - workers_.begin())];
  if (readable.is_open()) pool = {readable.remote().address, readable.size(), readable.remote().key};
  wire::encode(pool, out.subspan<wire::kHandshakeReplyBytes, wire::kRdmaPoolBytes>());
  connection.session = opened.session;
  connection.epoch = opened.reply.epoch;
  // The client came back before its old connection was seen to be gone.
  for (auto& [other_key, other] : connections_)
    if (other.session == opened.session && other_key != key) other.worker->drop(other_key);
  connection.worker->welcome(key, std::move(opened.session), opened.reply.epoch, std::move(answer));
}

void RdmaServer::answer_question(Connection& connection, std::span<const std::byte> bytes) {
  const auto header = wire::decode_control_header(bytes);
  const auto body = bytes.subspan(wire::kControlHeaderBytes);
  const uint64_t key = connection.ends->key;
  if (connection.session == nullptr || !header || header->kind != wire::FrameKind::kControlRequest ||
      header->body_bytes != body.size() || !wire::check_body(*header, body))
    return connection.worker->drop(key);
  if (header->operation == wire::ControlOperation::kLetGo) leases_.let_go(*connection.session);
  connection.worker->answer(key, {wire::kRdmaAnswer, connection.session->answer(*header, body)});
}

}  // namespace tiara::nic
