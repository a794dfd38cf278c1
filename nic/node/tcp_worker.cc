#include "nic/node/tcp_worker.h"
#include "nic/node/worker_turn.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/check.h"
#include "runtime/os/futex.h"

namespace tiara::nic {
namespace {

// A worker with nothing to do looks around this often; everything that it must do wakes it.
constexpr os::Nanoseconds kIdle{1'000'000'000};
// A reply needs at most this much; a chunk takes a round's small replies or one large one.
constexpr size_t kChunkBytes = 320 * 1024;
constexpr size_t kMaxReplyMessage = wire::message_bytes(kMaxReplyBytes);
static_assert(kChunkBytes >= kMaxReplyMessage);
constexpr size_t kMaxSpareChunks = 16;
// A lane with more replies than this under way is not served further until its client reads.
constexpr size_t kMaxOutgoing = 1 * kMiB;
// Posted requests that wait in memory, beyond which the lane is not read. One whole request must fit.
constexpr size_t kMaxInbox = 1 * kMiB;
static_assert(kMaxInbox >= wire::message_bytes(kMaxPayloadBytes));
// An inbox that grew is given back when it is empty, so that idle clients cost little.
constexpr size_t kKeptInbox = 16 * 1024;

}  // namespace

Result<std::unique_ptr<TcpWorker>> TcpWorker::start(uint32_t number, os::IoBackend backend, StreamCounters& counters) {
  std::unique_ptr<TcpWorker> worker(new TcpWorker(counters));
  const std::string name = "tiara-tcp-" + std::to_string(number);
  TIARA_TRY(worker->thread_,
            os::Thread::start(name.c_str(), [self = worker.get(), backend] { self->run(backend); }));
  while (worker->is_started_.load(std::memory_order_acquire) == 0)
    (void)os::futex_wait(worker->is_started_, 0, kIdle, os::FutexScope::kPrivate);
  if (worker->loop_ == nullptr) return std::unexpected(worker->start_error_);
  return worker;
}

Result<std::unique_ptr<TcpWorker>> TcpWorker::create(os::IoBackend backend, StreamCounters& counters) {
  std::unique_ptr<TcpWorker> worker(new TcpWorker(counters));
  TIARA_TRY_VOID(worker->make_loop(backend));
  return worker;
}

TcpWorker::~TcpWorker() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with run()
  if (loop_ != nullptr) loop_->wake();
  thread_.join();
  loop_.reset();  // before the lanes: their chunks may be on their way out
}

void TcpWorker::add(std::shared_ptr<StreamSession> session, uint64_t epoch, wire::Lane lane, UniqueFd socket,
                    std::unique_ptr<SecuredStream> secured) {
  lane_count_.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    newcomers_.push_back({std::move(session), epoch, lane, std::move(socket), std::move(secured)});
  }
  loop_->wake();
}

Result<void> TcpWorker::make_loop(os::IoBackend backend) {
  TIARA_TRY(loop_, os::StreamLoop::create(backend));
  backend_ = loop_->backend();
  return {};
}

uint32_t TcpWorker::step() noexcept {
  const uint32_t handled = loop_->run(*this, os::Nanoseconds::zero());
  return serve_waiting() ? handled + 1 : handled;
}

void TcpWorker::run(os::IoBackend backend) noexcept {
  // Made here: an io_uring belongs to the thread that uses it.
  if (auto made = make_loop(backend); !made) start_error_ = std::move(made).error();
  is_started_.store(1, std::memory_order_release);  // pairs with start()
  os::futex_wake_all(is_started_, os::FutexScope::kPrivate);
  if (loop_ == nullptr) return;
  while (!is_stopping_.load(std::memory_order_acquire)) {
    if (step() != 0) continue;
    const os::Nanoseconds start = os::monotonic_now();
    const auto look = [&] { return loop_->run(*this, os::Nanoseconds::zero()) != 0; };
    if (!spin_.wait(start, look, [] { return os::AdaptiveSpin::kNoCpu; })) (void)loop_->run(*this, kIdle);
    spin_.record(os::monotonic_now() - start);
  }
}

void TcpWorker::woken() noexcept {
  std::vector<Newcomer> newcomers;
  {
    const std::lock_guard lock(mutex_);
    newcomers.swap(newcomers_);
  }
  for (Newcomer& newcomer : newcomers) {
    auto lane = std::make_unique<Lane>();
    lane->session = std::move(newcomer.session);
    lane->epoch = newcomer.epoch;
    lane->kind = newcomer.kind;
    lane->secured = std::move(newcomer.secured);
    const uint64_t key = next_key_++;
    if (!loop_->add(key, std::move(newcomer.socket))) {
      lane_count_.fetch_sub(1, std::memory_order_relaxed);
      continue;  // closed: the client connects again
    }
    count_lane(*lane, +1);
    lanes_.emplace(key, std::move(lane));
  }
}

void TcpWorker::drop(uint64_t key, Lane& lane) noexcept {
  if (lane.is_broken) return;
  lane.is_broken = true;
  loop_->remove(key);
}

void TcpWorker::broke(uint64_t key) noexcept {
  if (const auto found = lanes_.find(key); found != lanes_.end()) drop(key, *found->second);
}

void TcpWorker::removed(uint64_t key) noexcept {
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return;
  count_lane(*found->second, -1);
  lanes_.erase(found);
  lane_count_.fetch_sub(1, std::memory_order_relaxed);
}

void TcpWorker::count_lane(const Lane& lane, int change) noexcept {
  uint32_t& count = lanes_of_[lane.session->session().tenant().value];
  if (count == 0) tenants_++;
  count += static_cast<uint32_t>(change);
  if (count == 0) tenants_--;
}

void TcpWorker::let_wait(uint64_t key) {
  if (std::ranges::find(waiting_, key) == waiting_.end()) waiting_.push_back(key);
}

std::span<const std::byte> TcpWorker::waiting(const Lane& lane) noexcept {
  return std::span(lane.inbox).subspan(lane.taken);
}

void TcpWorker::take(Lane& lane, size_t bytes) noexcept {
  lane.taken += bytes;
  if (lane.taken < lane.inbox.size()) return;
  lane.taken = 0;
  lane.inbox.clear();
  if (lane.inbox.capacity() > kKeptInbox) std::vector<std::byte>().swap(lane.inbox);
}

void TcpWorker::received(uint64_t key, std::span<const std::byte> bytes) noexcept {
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || found->second->is_broken) return;
  Lane& lane = *found->second;
  if (lane.secured == nullptr) return take_in(key, lane, bytes);
  std::vector<std::byte> nothing;  // the handshake is over
  opened_.clear();
  if (!lane.secured->receive(bytes, opened_, nothing)) {
    counters_.insecure.fetch_add(1, std::memory_order_relaxed);
    return drop(key, lane);
  }
  if (!opened_.empty()) take_in(key, lane, opened_);
}

void TcpWorker::take_in(uint64_t key, Lane& lane, std::span<const std::byte> bytes) noexcept {
  if (is_served_at_once(lane) && lane.inbox.empty()) {
    serve_calls(key, lane, bytes);
    return;
  }
  if (lane.taken != 0) {
    lane.inbox.erase(lane.inbox.begin(), lane.inbox.begin() + static_cast<ptrdiff_t>(lane.taken));
    lane.taken = 0;
  }
  lane.inbox.insert(lane.inbox.end(), bytes.begin(), bytes.end());
  if (is_served_at_once(lane)) {
    serve_calls(key, lane, {});
  } else {
    let_wait(key);
    throttle(key, lane);
  }
}

// `bytes` come straight from the socket and the inbox is empty; or they are empty, and the inbox is served.
void TcpWorker::serve_calls(uint64_t key, Lane& lane, std::span<const std::byte> bytes) noexcept {
  const bool is_direct = !bytes.empty();
  for (;;) {
    const std::span<const std::byte> rest = is_direct ? bytes : waiting(lane);
    size_t used = 0;
    const Served served = lane.outgoing_bytes > kMaxOutgoing ? Served::kIncomplete : serve(lane, rest, used);
    if (served == Served::kBroken) {
      drop(key, lane);
      return;
    }
    if (served == Served::kIncomplete) break;
    if (is_direct)
      bytes = bytes.subspan(used);
    else
      take(lane, used);
  }
  if (is_direct) lane.inbox.assign(bytes.begin(), bytes.end());
  flush(key, lane);
  throttle(key, lane);
}

// Of several tenants' lanes one whose tenant comes next, calls first; else the one that has waited longest.
std::unordered_map<uint64_t, std::unique_ptr<TcpWorker::Lane>>::iterator TcpWorker::take_next_waiting() noexcept {
  auto best = waiting_.begin();
  auto lane = lanes_.find(*best);
  for (auto at = best; tenants_ > 1 && at != waiting_.end(); ++at) {
    const auto candidate = lanes_.find(*at);
    if (candidate == lanes_.end()) continue;
    if (lane != lanes_.end()) {
      const Lane &ours = *candidate->second, &theirs = *lane->second;
      const TenantId us = ours.session->session().tenant(), them = theirs.session->session().tenant();
      const bool is_call_before_post = ours.kind == wire::Lane::kCall && theirs.kind != wire::Lane::kCall;
      if (us == them ? !is_call_before_post : !share_.comes_before(us, them)) continue;
    }
    best = at;
    lane = candidate;
  }
  waiting_.erase(best);
  return lane;
}

// A turn of one lane, as much as keeps others waiting for a moment only; false when no lane has a whole request.
bool TcpWorker::serve_waiting() noexcept {
  while (!waiting_.empty()) {
    const auto found = take_next_waiting();
    if (found == lanes_.end() || found->second->is_broken) continue;
    const uint64_t key = found->first;
    Lane& lane = *found->second;
    if (lane.outgoing_bytes > kMaxOutgoing) continue;  // sent() brings it back
    const Session& session = lane.session->session();
    const os::Nanoseconds start = tenants_ > 1 ? os::monotonic_now() : os::Nanoseconds{};
    size_t used = 0, moved = 0;
    Served served = Served::kOne;
    const uint32_t most = tenants_ > 1 ? FairShare::kCallsInTurn : UINT32_MAX;
    for (uint32_t count = 0; served == Served::kOne && moved < kTurnBytes && count < most; count++) {
      const size_t outgoing_before = lane.outgoing_bytes;
      served = serve(lane, waiting(lane), used);
      if (served != Served::kOne) break;
      take(lane, used);
      moved += used + (lane.outgoing_bytes - outgoing_before);
    }
    if (served == Served::kBroken) {
      drop(key, lane);
      continue;
    }
    flush(key, lane);
    throttle(key, lane);
    if (tenants_ > 1 && moved != 0) share_.charge(session.tenant(), os::monotonic_now() - start, session.weight());
    if (served == Served::kOne && !lane.inbox.empty()) waiting_.push_back(key);  // else received() brings it back
    if (moved != 0) return true;
  }
  return false;
}

TcpWorker::Served TcpWorker::serve(Lane& lane, std::span<const std::byte> bytes, size_t& used) noexcept {
  if (bytes.size() < wire::kFrameBytes) return Served::kIncomplete;
  wire::InvocationFrame frame;
  if (wire::decode(bytes.first<wire::kFrameBytes>(), frame) != wire::DecodeStatus::kOk ||
      slot_of_request(frame.request_id) >= lane.session->slots()) {
    counters_.malformed.fetch_add(1, std::memory_order_relaxed);
    (void)lane.session->session().refuse(Refusal::kMalformedFrame);
    return Served::kBroken;  // where the next frame begins is unknown
  }
  used = wire::message_bytes(frame.payload_bytes);
  if (bytes.size() < used) return Served::kIncomplete;
  const std::byte* const payload = bytes.data() + wire::kFrameBytes;
  if (!wire::is_intact(payload, frame.payload_bytes)) {
    counters_.corrupted.fetch_add(1, std::memory_order_relaxed);
    return Served::kBroken;  // the client connects again and sends again
  }
  const std::span<std::byte> room = room_for_reply(lane, wire::message_bytes(frame.reply_room));
  const auto reply = room.subspan(wire::kFrameBytes, frame.reply_room);
  const auto outcome = lane.session->execute(frame, {payload, frame.payload_bytes}, reply, lane.epoch);
  if (!outcome) {
    counters_.stragglers.fetch_add(1, std::memory_order_relaxed);
    return Served::kOne;
  }
  wire::ReplyFrame answer;
  answer.request_id = frame.request_id;
  answer.tenant = frame.tenant;
  answer.outcome = *outcome;
  wire::encode(answer, room.first<wire::kFrameBytes>());
  wire::seal_bytes(reply.data(), outcome->reply_bytes);
  const size_t length = wire::message_bytes(outcome->reply_bytes);
  lane.outgoing.back().used += length;
  lane.outgoing_bytes += length;
  return Served::kOne;
}

// Room behind the replies that do not travel yet.
std::span<std::byte> TcpWorker::room_for_reply(Lane& lane, size_t bytes) {
  const bool is_back_travelling = lane.outgoing.size() == 1 && lane.is_sending;
  if (lane.outgoing.empty() || is_back_travelling || lane.outgoing.back().used + bytes > kChunkBytes) {
    Chunk chunk;
    if (spare_.empty()) {
      chunk.resize(kChunkBytes);
    } else {
      chunk = std::move(spare_.back());
      spare_.pop_back();
    }
    lane.outgoing.push_back({std::move(chunk), 0});
  }
  Outgoing& back = lane.outgoing.back();
  return std::span(back.chunk).subspan(back.used, bytes);
}

void TcpWorker::flush(uint64_t key, Lane& lane) noexcept {
  if (lane.is_sending || lane.is_broken || lane.outgoing.empty()) return;
  Outgoing& front = lane.outgoing.front();
  if (front.used == 0) return;  // room that a straggler did not need
  std::span<const std::byte> bytes = std::span(front.chunk).first(front.used);
  if (lane.secured != nullptr) {
    if (!lane.secured->seal(bytes, lane.sealed)) return drop(key, lane);  // the client connects again: new keys
    bytes = lane.sealed;
  }
  lane.is_sending = true;
  loop_->send(key, bytes);
}

void TcpWorker::sent(uint64_t key) noexcept {
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return;
  Lane& lane = *found->second;
  lane.is_sending = false;
  lane.outgoing_bytes -= lane.outgoing.front().used;
  lane.sealed.clear();
  if (lane.sealed.capacity() > kKeptInbox) std::vector<std::byte>().swap(lane.sealed);
  if (spare_.size() < kMaxSpareChunks) spare_.push_back(std::move(lane.outgoing.front().chunk));
  lane.outgoing.pop_front();
  if (lane.is_broken) return;
  flush(key, lane);
  if (lane.inbox.empty() || lane.outgoing_bytes > kMaxOutgoing) return throttle(key, lane);
  // What had to wait for the client to read.
  if (is_served_at_once(lane))
    serve_calls(key, lane, {});
  else
    let_wait(key);
}

// Reads a lane only while there is room for what it sends and for what it is sent.
void TcpWorker::throttle(uint64_t key, Lane& lane) noexcept {
  if (lane.is_broken) return;
  const bool is_full = lane.outgoing_bytes > kMaxOutgoing || waiting(lane).size() > kMaxInbox;
  if (is_full == lane.is_paused) return;
  lane.is_paused = is_full;
  if (is_full)
    loop_->pause(key);
  else
    loop_->resume(key);
}

}  // namespace tiara::nic
