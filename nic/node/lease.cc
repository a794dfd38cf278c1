#include "nic/node/lease.h"

#include <algorithm>
#include <cstring>
#include <sys/random.h>

#include "nic/node/control_service.h"
#include "runtime/base/check.h"

namespace tiara::nic {
namespace {

// Asks the kernel again when it was interrupted; it does not fail otherwise.
uint64_t random_word() {
  uint64_t word = 0;
  while (getrandom(&word, sizeof word, 0) != sizeof word) {
  }
  return word;
}

// Takes as long for a wrong secret as for the right one.
bool matches(const wire::SessionSecret& wanted, const wire::SessionSecret& given) {
  return ((wanted.words[0] ^ given.words[0]) | (wanted.words[1] ^ given.words[1])) == 0;
}

wire::HandshakeReply refusal(wire::HandshakeStatus status, std::string_view why) {
  wire::HandshakeReply reply;
  reply.status = status;
  reply.set_text(why);
  return reply;
}

}  // namespace

// --- StreamSession ---

std::optional<Outcome> StreamSession::execute(const wire::InvocationFrame& frame, std::span<const std::byte> payload,
                                              std::span<std::byte> reply, uint64_t epoch) {
  if (session_->is_repeatable(frame.operation)) return session_->invoke(frame, payload, reply);
  const uint32_t slot = slot_of_request(frame.request_id);
  if (slot >= slots_) return session_->refuse(Refusal::kMalformedFrame);
  Remembered& last = remembered_[slot];
  const std::lock_guard lock(last.mutex);
  // Under the lock: a resumption that comes later sends the request again, and finds it done.
  if (epoch != epoch_.load(std::memory_order_acquire) || frame.request_id < last.request_id) return std::nullopt;
  if (frame.request_id == last.request_id) {
    // The same request has the same room. This is another one that bears its name.
    if (last.bytes.size() > reply.size()) return session_->refuse(Refusal::kMalformedFrame);
    std::ranges::copy(last.bytes, reply.begin());
    return last.outcome;
  }
  last.outcome = session_->invoke(frame, payload, reply);
  last.request_id = frame.request_id;
  last.bytes.assign(reply.begin(), reply.begin() + static_cast<ptrdiff_t>(last.outcome.reply_bytes));
  return last.outcome;
}

wire::Body StreamSession::answer(const wire::ControlHeader& header, std::span<const std::byte> body) {
  if (header.request_id == last_question_) return last_answer_;
  last_answer_ = wire::encode_reply(header, answer_control(*session_, header, body));
  last_question_ = header.request_id;
  return last_answer_;
}

// --- LeaseTable ---

LeaseTable::LeaseTable(MemoryNode& node, std::chrono::milliseconds lease, SessionKind kind)
    : node_(node), lease_(lease), kind_(kind), instance_(random_word()) {}

LeaseTable::~LeaseTable() = default;

void LeaseTable::describe(const StreamSession& session, wire::HandshakeReply& reply) const {
  reply.status = wire::HandshakeStatus::kWelcome;
  reply.tenant = session.session_->tenant();
  reply.slots = session.slots_;
  reply.instance = instance_;
  reply.session = session.id();
  reply.secret = session.secret_;
  reply.epoch = session.epoch();
  reply.lease_ms = static_cast<uint64_t>(lease_.count());
}

LeaseTable::Opened LeaseTable::open(const wire::Handshake& question, uint32_t max_slots) {
  auto session = node_.open_session(question.used_token(), kind_);
  if (!session) {
    wire::HandshakeStatus status = wire::HandshakeStatus::kFull;
    if (session.error().code == ErrorCode::kNoPermission) status = wire::HandshakeStatus::kNoPermission;
    if (session.error().code == ErrorCode::kUnavailable) status = wire::HandshakeStatus::kDraining;
    return {nullptr, refusal(status, session.error().message)};
  }
  const uint32_t slots = std::clamp(question.slots, wire::kMinSlots, std::min(max_slots, wire::kMaxSlots));
  const wire::SessionSecret secret{{random_word(), random_word()}};
  Opened opened{std::make_shared<StreamSession>(std::move(*session), secret, slots), {}};
  const std::lock_guard lock(mutex_);
  sessions_.emplace(opened.session->id(), opened.session);
  describe(*opened.session, opened.reply);
  return opened;
}

std::shared_ptr<StreamSession> LeaseTable::find_locked(const wire::Handshake& question,
                                                       wire::HandshakeReply& reply) const {
  if (question.instance != instance_) {
    reply = refusal(wire::HandshakeStatus::kOtherInstance, "the node was started again and has none of the pages");
    return nullptr;
  }
  const auto found = sessions_.find(question.session);
  if (found == sessions_.end() || !matches(found->second->secret_, question.secret)) {
    reply = refusal(wire::HandshakeStatus::kExpired, "the lease ran out and the node gave the pages up");
    return nullptr;
  }
  return found->second;
}

LeaseTable::Opened LeaseTable::resume(const wire::Handshake& question) {
  Opened opened;
  const std::lock_guard lock(mutex_);
  opened.session = find_locked(question, opened.reply);
  if (opened.session == nullptr) {
    stats_.refused++;
    return opened;
  }
  StreamSession& session = *opened.session;
  session.is_connected_ = true;
  session.epoch_.fetch_add(1, std::memory_order_acq_rel);  // pairs with execute(): older connections are dead now
  stats_.resumed++;
  describe(session, opened.reply);
  return opened;
}

LeaseTable::Opened LeaseTable::attach(const wire::Handshake& question) {
  Opened opened;
  const std::lock_guard lock(mutex_);
  opened.session = find_locked(question, opened.reply);
  if (opened.session == nullptr) {
    stats_.refused++;
    return opened;
  }
  if (question.epoch != opened.session->epoch()) {
    opened.session = nullptr;
    opened.reply = refusal(wire::HandshakeStatus::kMalformed, "a connection of another epoch of the session");
    return opened;
  }
  describe(*opened.session, opened.reply);
  return opened;
}

void LeaseTable::disconnected(StreamSession& session, uint64_t epoch, os::Nanoseconds now) {
  const std::lock_guard lock(mutex_);
  if (epoch != session.epoch()) return;
  session.is_connected_ = false;
  session.expires_ = session.lingers_ ? now + lease_ : now;
}

void LeaseTable::let_go(StreamSession& session) {
  const std::lock_guard lock(mutex_);
  session.lingers_ = false;
}

void LeaseTable::reap(os::Nanoseconds now) {
  std::vector<std::shared_ptr<StreamSession>> expired;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = sessions_.begin(); at != sessions_.end();) {
      const StreamSession& session = *at->second;
      if (session.is_connected_ || session.expires_ > now) {
        ++at;
        continue;
      }
      if (session.lingers_) stats_.expired++;
      // Requests of dead connections that are still on their way find nothing to do.
      at->second->epoch_.fetch_add(1, std::memory_order_acq_rel);
      expired.push_back(std::move(at->second));
      at = sessions_.erase(at);
    }
  }
  for (const auto& session : expired) session->session_->close();  // waits for invocations that run
}

std::optional<os::Nanoseconds> LeaseTable::next_expiry() const {
  const std::lock_guard lock(mutex_);
  std::optional<os::Nanoseconds> next;
  for (const auto& [id, session] : sessions_)
    if (!session->is_connected_) next = next ? std::min(*next, session->expires_) : session->expires_;
  return next;
}

LeaseTable::Stats LeaseTable::stats() const {
  const std::lock_guard lock(mutex_);
  Stats stats = stats_;
  stats.away = static_cast<uint32_t>(
      std::ranges::count_if(sessions_, [](const auto& entry) { return !entry.second->is_connected_; }));
  return stats;
}

}  // namespace tiara::nic
