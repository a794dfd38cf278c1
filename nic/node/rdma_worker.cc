#include "nic/node/rdma_worker.h"
#include "nic/node/worker_turn.h"

#include <algorithm>
#include <cstring>
#include <poll.h>
#include <string>
#include <unistd.h>

namespace tiara::nic {
namespace {

// Large requests that are being fetched, and large replies on their way: enough to keep a link busy, a few MiB of
// registered memory. One connection has at most half of each, so that one that stalls holds up nobody else.
constexpr uint32_t kFetchBuffers = 8;
constexpr uint32_t kReplyBuffers = 8;
// Sends that ask for a completion: of small replies one in this many.
constexpr uint64_t kSignalEvery = 8;
constexpr uint32_t kRequestsInTurn = 16;

constexpr uint64_t kSendTag = uint64_t{1} << 63;  // a completion's tag: a send's position, or a receive's number

}  // namespace

Result<std::unique_ptr<RdmaWorker>> RdmaWorker::start(uint32_t number, const verbs::Id& device, Mailbox& control,
                                                      RdmaCounters& counters, std::chrono::milliseconds probe_every) {
  std::unique_ptr<RdmaWorker> worker(new RdmaWorker(control, counters, probe_every));
  TIARA_TRY_VOID(worker->set_up(number, device));
  return worker;
}

Result<void> RdmaWorker::set_up(uint32_t number, const verbs::Id& device) {
  TIARA_TRY(domain_, verbs::Domain::create(device));
  TIARA_TRY(buffers_, domain_->allocate(Bytes{(kFetchBuffers + kReplyBuffers) * wire::kRdmaAreaBytes},
                                        verbs::Access::kNone));
  TIARA_TRY(event_, os::create_event());
  fetches_.resize(kFetchBuffers);
  for (uint32_t i = 0; i < kFetchBuffers; i++) free_fetch_.push_back(i);
  for (uint32_t i = 0; i < kReplyBuffers; i++) free_reply_.push_back(kFetchBuffers + i);
  next_probe_ = os::monotonic_now() + probe_every_;
  const std::string name = "tiara-rdma-" + std::to_string(number);
  TIARA_TRY(thread_, os::Thread::start(name.c_str(), [this] { run(); }));
  return {};
}

void RdmaWorker::stop() noexcept {
  is_stopping_.store(true, std::memory_order_release);  // pairs with run()
  if (event_.is_open()) os::signal_event(event_);
  thread_.join();
}

// --- mail ---

void RdmaWorker::order(Order order) {
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
  }
  os::signal_event(event_);
}

void RdmaWorker::add(std::shared_ptr<RdmaConnection> connection) {
  connection_count_.fetch_add(1, std::memory_order_relaxed);
  const uint64_t key = connection->key;
  order({Order::Kind::kAdd, key, std::move(connection), nullptr, 0, {}});
}

void RdmaWorker::answer(uint64_t key, RdmaConnection::Answer answer) {
  order({Order::Kind::kAnswer, key, nullptr, nullptr, 0, std::move(answer)});
}

void RdmaWorker::welcome(uint64_t key, std::shared_ptr<StreamSession> session, uint64_t epoch,
                         RdmaConnection::Answer answer) {
  order({Order::Kind::kAnswer, key, nullptr, std::move(session), epoch, std::move(answer)});
}

void RdmaWorker::drop(uint64_t key) { order({Order::Kind::kDrop, key, nullptr, nullptr, 0, {}}); }

void RdmaWorker::tell(Mail::Kind kind, uint64_t key, std::vector<std::byte> bytes) {
  {
    const std::lock_guard lock(control_.mutex);
    control_.mail.push_back({kind, key, std::move(bytes)});
  }
  os::signal_event(control_.event);
}

void RdmaWorker::take_orders() noexcept {
  std::vector<Order> orders;
  {
    const std::lock_guard lock(mutex_);
    orders.swap(orders_);
  }
  for (Order& order : orders) {
    if (order.kind == Order::Kind::kAdd) {
      order.connection->heard_at = os::monotonic_now();
      connections_.emplace(order.key, std::move(order.connection));
      continue;
    }
    Connection* const connection = find(order.key);
    if (connection == nullptr) continue;  // gone meanwhile
    if (order.kind == Order::Kind::kDrop) {
      drop_now(*connection);
      continue;
    }
    if (order.session != nullptr) {
      connection->session = std::move(order.session);
      connection->epoch = order.epoch;
      count_tenant(*connection, +1);
    }
    connection->asks = false;
    connection->answers.push_back(std::move(order.answer));
    if (!send_answers(*connection) || !flush(*connection)) drop_now(*connection);
  }
}

RdmaWorker::Connection* RdmaWorker::find(uint64_t key) noexcept {
  const auto found = connections_.find(key);
  return found == connections_.end() ? nullptr : found->second.get();
}

void RdmaWorker::count_tenant(const Connection& connection, int change) noexcept {
  uint32_t& count = connections_of_[connection.session->session().tenant().value];
  if (count == 0) tenants_++;
  count += static_cast<uint32_t>(change);
  if (count == 0) tenants_--;
}

// --- the loop ---

void RdmaWorker::run() noexcept {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    take_orders();
    while (const auto key = domain_->next_report()) {
      if (find(*key) == nullptr) take_orders();  // it may be new
      if (Connection* const connection = find(*key)) drain(*connection);
    }
    send_waiting_answers();
    begin_fetches();
    if (os::monotonic_now() >= next_probe_) probe_silent();
    if (!serve_turn()) wait();
  }
}

void RdmaWorker::wait() noexcept {
  std::array<pollfd, 2> sources{{{domain_->descriptor(), POLLIN, 0}, {event_.get(), POLLIN, 0}}};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_probe_ - os::monotonic_now());
  (void)poll(sources.data(), sources.size(), static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000)));
  if (sources[1].revents == 0) return;
  uint64_t rings = 0;
  (void)!read(event_.get(), &rings, sizeof rings);
}

// Arms first: what completes after the last look makes the next report.
void RdmaWorker::drain(Connection& connection) noexcept {
  bool is_whole = connection.queue->arm();
  connection.heard_at = os::monotonic_now();
  std::array<verbs::Completion, 16> room;
  for (size_t count = room.size(); is_whole && count == room.size();) {
    count = connection.queue->poll(room);
    for (size_t i = 0; i < count && is_whole; i++) is_whole = complete(connection, room[i]);
  }
  if (!is_whole || !send_answers(connection) || !flush(connection)) drop_now(connection);
}

bool RdmaWorker::complete(Connection& connection, const verbs::Completion& completion) noexcept {
  switch (completion.kind) {
    case verbs::Completion::Kind::kBroken: return false;
    case verbs::Completion::Kind::kSent:
      release(connection, (completion.tag & ~kSendTag) + 1);
      return true;
    case verbs::Completion::Kind::kReceived:
      return received(connection, static_cast<uint32_t>(completion.tag), completion);
  }
  return false;
}

// Sends complete in order: with one, all before it are done.
void RdmaWorker::release(Connection& connection, uint64_t up_to) noexcept {
  connection.is_probed = false;
  for (; connection.completed < up_to; connection.completed++) {
    Connection::Held& held = connection.held[connection.completed % connection.held.size()];
    switch (held.kind) {
      case Connection::Held::Kind::kNothing: break;
      case Connection::Held::Kind::kReplyBuffer:
        free_reply_.push_back(held.buffer);
        connection.reply_buffers--;
        break;
      case Connection::Held::Kind::kFetch: fetched(held.buffer); break;
    }
    held = {};
  }
  turns_.insert(turns_.end(), blocked_.begin(), blocked_.end());
  blocked_.clear();
}

// A peer that breaks the protocol: its connection ends.
bool RdmaWorker::refuse(Connection& connection) noexcept {
  counters_.malformed.fetch_add(1, std::memory_order_relaxed);
  if (connection.session != nullptr) (void)connection.session->session().refuse(Refusal::kMalformedFrame);
  return false;
}

bool RdmaWorker::received(Connection& connection, uint32_t receive, const verbs::Completion& completion) noexcept {
  const auto immediate = wire::decode_rdma_immediate(completion.immediate);
  if (!immediate || completion.length > wire::kRdmaMessageBytes) return refuse(connection);
  const std::byte* const bytes = connection.receive(receive);
  switch (immediate->request) {
    case wire::RdmaRequest::kHandshake:
      if (completion.length != wire::kHandshakeBytes || connection.asks || connection.session != nullptr)
        return refuse(connection);
      connection.asks = true;
      tell(Mail::Kind::kHandshake, connection.key, {bytes, bytes + completion.length});
      connection.returned.push_back(receive);
      return true;
    case wire::RdmaRequest::kQuestion:
      return received_question(connection, receive, completion.length, immediate->bytes);
    case wire::RdmaRequest::kCall:
      return received_request(connection, receive, completion.length, wire::Lane::kCall, immediate->bytes);
    case wire::RdmaRequest::kPosted:
      return received_request(connection, receive, completion.length, wire::Lane::kPosted, immediate->bytes);
  }
  return refuse(connection);
}

bool RdmaWorker::received_question(Connection& connection, uint32_t receive, uint32_t length,
                                   wire::RdmaBytes where) noexcept {
  const std::byte* const bytes = connection.receive(receive);
  if (connection.session == nullptr || connection.asks || length < wire::kControlHeaderBytes)
    return refuse(connection);
  const auto header = wire::decode_control_header({bytes, length});
  if (!header) return refuse(connection);
  std::vector<std::byte> question(bytes, bytes + length);
  connection.returned.push_back(receive);
  connection.asks = true;
  if (where == wire::RdmaBytes::kInMessage) {
    if (length != wire::kControlHeaderBytes + header->body_bytes) return refuse(connection);
    tell(Mail::Kind::kQuestion, connection.key, std::move(question));
    return true;
  }
  if (length != wire::kControlHeaderBytes || header->body_bytes == 0) return refuse(connection);
  wanted_.push_back({connection.key, {}, std::move(question),
                     wire::kRdmaQuestionOffset + wire::kControlHeaderBytes, header->body_bytes});
  return true;
}

bool RdmaWorker::received_request(Connection& connection, uint32_t receive, uint32_t length, wire::Lane lane,
                                  wire::RdmaBytes where) noexcept {
  const std::byte* const bytes = connection.receive(receive);
  Connection::Request request;
  if (connection.session == nullptr || length < wire::kFrameBytes ||
      wire::decode(std::span<const std::byte, wire::kFrameBytes>(bytes, wire::kFrameBytes), request.frame) !=
          wire::DecodeStatus::kOk)
    return refuse(connection);
  const uint32_t slot = slot_of_request(request.frame.request_id);
  const uint64_t whole = wire::message_bytes(request.frame.payload_bytes);
  if (slot >= connection.slots || slot >= connection.session->slots()) return refuse(connection);
  request.lane = lane;
  if (where == wire::RdmaBytes::kInMessage) {
    if (length != whole) return refuse(connection);
    if (request.frame.payload_bytes == 0)
      connection.returned.push_back(receive);
    else
      request.receive = receive;
    make_ready(connection, std::move(request));
    return true;
  }
  if (length != wire::kFrameBytes || whole == wire::kFrameBytes) return refuse(connection);
  connection.returned.push_back(receive);
  wanted_.push_back({connection.key, std::move(request), {}, wire::rdma_request_offset(slot) + wire::kFrameBytes,
                     static_cast<uint32_t>(whole - wire::kFrameBytes)});
  return true;
}

// --- fetching what is in the client's slab ---

void RdmaWorker::begin_fetches() noexcept {
  std::vector<uint64_t> touched;
  for (auto at = wanted_.begin(); at != wanted_.end() && !free_fetch_.empty();) {
    Connection* const connection = find(at->key);
    if (connection == nullptr) {
      at = wanted_.erase(at);
      continue;
    }
    if (connection->fetch_buffers >= kFetchBuffers / 2 || !connection->has_room()) {
      ++at;  // a completion comes and brings us back
      continue;
    }
    const uint32_t buffer = free_fetch_.back();
    free_fetch_.pop_back();
    connection->fetch_buffers++;
    verbs::Send read{};
    read.kind = verbs::Send::Kind::kRead;
    read.signal = verbs::Send::Signal::kYes;
    read.at = buffers_.data() + buffer * wire::kRdmaAreaBytes;
    read.length = at->length;
    read.key = buffers_.local_key();
    read.remote = {connection->hello.slab_address + at->offset, connection->hello.slab_key};
    push(*connection, read, {Connection::Held::Kind::kFetch, buffer});
    fetches_[buffer] = std::move(*at);
    at = wanted_.erase(at);
    touched.push_back(connection->key);
  }
  for (const uint64_t key : touched)
    if (Connection* const connection = find(key); connection != nullptr && !flush(*connection)) drop_now(*connection);
}

void RdmaWorker::fetched(uint32_t buffer) noexcept {
  Fetch& fetch = fetches_[buffer];
  Connection& connection = *find(fetch.key);
  if (fetch.question.empty()) {
    fetch.request.buffer = buffer;
    make_ready(connection, fetch.request);
    return;
  }
  const std::byte* const body = buffers_.data() + buffer * wire::kRdmaAreaBytes;
  fetch.question.insert(fetch.question.end(), body, body + fetch.length);
  tell(Mail::Kind::kQuestion, connection.key, std::move(fetch.question));
  fetch = {};
  free_fetch_.push_back(buffer);
  connection.fetch_buffers--;
}

// --- serving ---

void RdmaWorker::make_ready(Connection& connection, Connection::Request request) noexcept {
  const wire::Lane lane = request.lane;
  connection.ready[static_cast<size_t>(lane)].push_back(std::move(request));
  let_wait(connection, lane);
}

void RdmaWorker::let_wait(Connection& connection, wire::Lane lane) noexcept {
  bool& has_turn = connection.has_turn[static_cast<size_t>(lane)];
  if (!has_turn) turns_.push_back({connection.key, lane});
  has_turn = true;
}

// Calls before posted requests of the same tenant; of several tenants the one whose turn it is; else who has waited
// longest.
RdmaWorker::Turn RdmaWorker::take_turn() noexcept {
  auto best = turns_.begin();
  for (auto at = best; at != turns_.end(); ++at) {
    const Connection* const candidate = find(at->key);
    const Connection* const chosen = find(best->key);
    if (candidate == nullptr) continue;
    if (chosen != nullptr) {
      const TenantId us = candidate->session->session().tenant(), them = chosen->session->session().tenant();
      const bool is_call_before_post = at->lane == wire::Lane::kCall && best->lane != wire::Lane::kCall;
      if (us == them ? !is_call_before_post : !share_.comes_before(us, them)) continue;
    }
    best = at;
  }
  const Turn turn = *best;
  turns_.erase(best);
  return turn;
}

// One connection's turn; false when nobody has anything that can be served now.
bool RdmaWorker::serve_turn() noexcept {
  while (!turns_.empty()) {
    const Turn turn = take_turn();
    Connection* const connection = find(turn.key);
    if (connection == nullptr) continue;
    auto& ready = connection->ready[static_cast<size_t>(turn.lane)];
    const Session& session = connection->session->session();
    const os::Nanoseconds start = tenants_ > 1 ? os::monotonic_now() : os::Nanoseconds{};
    const uint32_t most = tenants_ > 1 ? FairShare::kCallsInTurn : kRequestsInTurn;
    Served served = Served::kOne;
    size_t moved = 0;
    uint32_t count = 0;
    while (!ready.empty() && count < most && moved < kTurnBytes) {
      served = serve(*connection, ready.front(), moved);
      if (served != Served::kOne) break;
      ready.pop_front();
      count++;
    }
    if (tenants_ > 1 && count != 0) share_.charge(session.tenant(), os::monotonic_now() - start, session.weight());
    if (served == Served::kBroken || !flush(*connection)) {
      drop_now(*connection);
      return true;  // there may be buffers for others now
    }
    if (served == Served::kBlocked)
      blocked_.push_back(turn);
    else if (ready.empty())
      connection->has_turn[static_cast<size_t>(turn.lane)] = false;
    else
      turns_.push_back(turn);
    if (count != 0) return true;
  }
  return false;
}

RdmaWorker::Served RdmaWorker::serve(Connection& connection, const Connection::Request& request,
                                     size_t& moved) noexcept {
  const wire::InvocationFrame& frame = request.frame;
  const bool is_small = wire::message_bytes(frame.reply_room) <= wire::kRdmaMessageBytes;
  if (!connection.has_room() ||
      (!is_small && (free_reply_.empty() || connection.reply_buffers >= kReplyBuffers / 2)))
    return Served::kBlocked;
  const std::byte* payload = nullptr;
  if (request.receive != Connection::kNoBuffer) payload = connection.receive(request.receive) + wire::kFrameBytes;
  if (request.buffer != Connection::kNoBuffer) payload = buffers_.data() + request.buffer * wire::kRdmaAreaBytes;
  if (!wire::is_intact(payload, frame.payload_bytes)) {
    counters_.corrupted.fetch_add(1, std::memory_order_relaxed);
    return Served::kBroken;  // the client connects again and sends again
  }
  const uint32_t buffer = is_small ? Connection::kNoBuffer : free_reply_.back();
  std::byte* const at = is_small ? connection.small_reply() : buffers_.data() + buffer * wire::kRdmaAreaBytes;
  const std::span<std::byte> room(at + wire::kFrameBytes, frame.reply_room);
  const auto outcome = connection.session->execute(frame, {payload, frame.payload_bytes}, room, connection.epoch);
  if (request.receive != Connection::kNoBuffer) connection.returned.push_back(request.receive);
  if (request.buffer != Connection::kNoBuffer) {
    free_fetch_.push_back(request.buffer);
    connection.fetch_buffers--;
  }
  if (!outcome) {
    counters_.stragglers.fetch_add(1, std::memory_order_relaxed);
    return Served::kOne;
  }
  wire::ReplyFrame answer;
  answer.request_id = frame.request_id;
  answer.tenant = frame.tenant;
  answer.outcome = *outcome;
  wire::encode(answer, wire::FrameBytes(at, wire::kFrameBytes));
  wire::seal_bytes(room.data(), outcome->reply_bytes);
  const uint32_t slot = slot_of_request(frame.request_id);
  verbs::Send write{};
  write.kind = verbs::Send::Kind::kWrite;
  write.signal = is_small ? verbs::Send::Signal::kNo : verbs::Send::Signal::kYes;
  write.at = at;
  write.length = static_cast<uint32_t>(wire::message_bytes(outcome->reply_bytes));
  write.key = is_small ? connection.memory.local_key() : buffers_.local_key();
  write.immediate = slot;
  write.remote = {connection.hello.slab_address + wire::rdma_reply_offset(slot), connection.hello.slab_key};
  if (!is_small) {
    free_reply_.pop_back();
    connection.reply_buffers++;
  }
  push(connection, write,
       is_small ? Connection::Held{} : Connection::Held{Connection::Held::Kind::kReplyBuffer, buffer});
  moved += frame.payload_bytes + outcome->reply_bytes;
  return Served::kOne;
}

// As far as there is room; the rest goes when there is. False: never, the connection ends.
bool RdmaWorker::send_answers(Connection& connection) noexcept {
  while (!connection.answers.empty() && connection.has_room()) {
    const Connection::Answer& answer = connection.answers.front();
    if (answer.bytes.size() > wire::kRdmaAreaBytes) return false;
    const bool is_small = answer.bytes.size() <= wire::kRdmaMessageBytes;
    if (!is_small && free_reply_.empty()) break;
    const uint32_t buffer = is_small ? Connection::kNoBuffer : free_reply_.back();
    verbs::Send write{};
    write.kind = verbs::Send::Kind::kWrite;
    write.signal = is_small ? verbs::Send::Signal::kNo : verbs::Send::Signal::kYes;
    write.at = is_small ? connection.small_reply() : buffers_.data() + buffer * wire::kRdmaAreaBytes;
    write.length = static_cast<uint32_t>(answer.bytes.size());
    write.key = is_small ? connection.memory.local_key() : buffers_.local_key();
    write.immediate = answer.immediate;
    write.remote = {connection.hello.slab_address + wire::kRdmaAnswerOffset, connection.hello.slab_key};
    std::ranges::copy(answer.bytes, write.at);
    if (!is_small) {
      free_reply_.pop_back();
      connection.reply_buffers++;
    }
    push(connection, write,
         is_small ? Connection::Held{} : Connection::Held{Connection::Held::Kind::kReplyBuffer, buffer});
    connection.answers.pop_front();
  }
  if (!connection.answers.empty()) has_waiting_answers_ = true;
  return true;
}

void RdmaWorker::send_waiting_answers() noexcept {
  if (!has_waiting_answers_) return;
  has_waiting_answers_ = false;
  std::vector<uint64_t> broken;
  for (const auto& [key, connection] : connections_)
    if (!send_answers(*connection) || !flush(*connection)) broken.push_back(key);
  for (const uint64_t key : broken) drop_now(*find(key));
}

void RdmaWorker::push(Connection& connection, verbs::Send send, Connection::Held held) noexcept {
  send.tag = kSendTag | connection.posted;
  if (connection.posted % kSignalEvery == kSignalEvery - 1) send.signal = verbs::Send::Signal::kYes;
  connection.held[connection.posted % connection.held.size()] = held;
  connection.posted++;
  connection.outbox.push_back(send);
}

// Receives first: a client that has its answer may ask again at once.
bool RdmaWorker::flush(Connection& connection) noexcept {
  std::array<verbs::Receive, 16> list;
  for (size_t at = 0; at < connection.returned.size();) {
    const size_t count = std::min(list.size(), connection.returned.size() - at);
    for (size_t i = 0; i < count; i++, at++)
      list[i] = {connection.receive(connection.returned[at]), static_cast<uint32_t>(wire::kRdmaMessageBytes),
                 connection.memory.local_key(), connection.returned[at]};
    if (!connection.queue->post_receives(std::span(list).first(count))) return false;
  }
  connection.returned.clear();
  if (connection.outbox.empty()) return true;
  const bool is_posted = connection.queue->post_sends(connection.outbox);
  connection.outbox.clear();
  return is_posted;
}

// --- ends ---

// A client's machine that vanished says nothing; a WRITE of nothing has to be acknowledged by it.
void RdmaWorker::probe_silent() noexcept {
  const os::Nanoseconds now = os::monotonic_now();
  next_probe_ = now + probe_every_;
  std::vector<uint64_t> broken;
  for (const auto& [key, connection] : connections_) {
    if (connection->is_probed || now - connection->heard_at < probe_every_ || !connection->has_room()) continue;
    verbs::Send probe{};
    probe.kind = verbs::Send::Kind::kProbe;
    probe.signal = verbs::Send::Signal::kYes;
    probe.remote = {connection->hello.slab_address, connection->hello.slab_key};
    push(*connection, probe, {});
    connection->is_probed = true;
    if (!flush(*connection)) broken.push_back(key);
  }
  for (const uint64_t key : broken) drop_now(*find(key));
}

// The queue ends here, so that the device uses none of the buffers any more; the rest is the control thread's.
void RdmaWorker::drop_now(Connection& connection) noexcept {
  const auto found = connections_.find(connection.key);
  const std::shared_ptr<Connection> last = std::move(found->second);
  connections_.erase(found);
  last->queue->break_off();
  last->queue.reset();
  for (const Connection::Held& held : last->held) {
    if (held.kind == Connection::Held::Kind::kReplyBuffer) free_reply_.push_back(held.buffer);
    if (held.kind == Connection::Held::Kind::kFetch) free_fetch_.push_back(held.buffer);
  }
  for (const auto& ready : last->ready)
    for (const Connection::Request& request : ready)
      if (request.buffer != Connection::kNoBuffer) free_fetch_.push_back(request.buffer);
  if (last->session != nullptr) count_tenant(*last, -1);
  turns_.insert(turns_.end(), blocked_.begin(), blocked_.end());  // there are buffers again
  blocked_.clear();
  connection_count_.fetch_sub(1, std::memory_order_relaxed);
  tell(Mail::Kind::kGone, last->key);
}

}  // namespace tiara::nic
