#include "nic/transport/rdma_link.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/os/socket.h"

namespace tiara::nic {

using os::Nanoseconds;

namespace {

constexpr LossReason kOtherUser =
    "this process changed its user or groups, and the kernel lets it no longer use the RDMA devices that it opened "
    "before; start it as the user that it becomes";

// InfiniBand's number for "no such service" in a refusal.
constexpr int kNoSuchService = 8;

// Sleeps until one of them is readable; signals end it early, which does no harm.
template <size_t N>
bool wait_readable(std::array<pollfd, N>& sources, const Nanoseconds* bound) noexcept {
  timespec time{};
  if (bound != nullptr) time = {bound->count() / 1'000'000'000, bound->count() % 1'000'000'000};
  return syscall(SYS_ppoll, sources.data(), N, bound != nullptr ? &time : nullptr, nullptr, 0) > 0;
}

verbs::WorkCounts sum(const verbs::WorkCounts& a, const verbs::WorkCounts& b) noexcept {
  return {a.sends + b.sends, a.writes + b.writes,   a.reads + b.reads,             a.probes + b.probes,
          a.lists + b.lists, a.inlined + b.inlined, a.completions + b.completions, a.arrivals + b.arrivals};
}

}  // namespace

Result<std::unique_ptr<RdmaLink>> RdmaLink::open(std::string_view host_port, std::string_view token, uint32_t slots,
                                                 Nanoseconds timeout) {
  const std::string url = "rdma://" + std::string(host_port);
  const uint32_t asked_slots = std::clamp(slots, wire::kMinSlots, wire::kMaxSlots);
  TIARA_TRY(const wire::Handshake question, ask_to_open(asked_slots, token));
  TIARA_TRY(verbs::Manager manager, verbs::Manager::create());
  std::unique_ptr<RdmaLink> link(new RdmaLink(std::move(manager), url));
  TIARA_TRY(link->address_, os::resolve_tcp(host_port));
  link->asked_slots_ = asked_slots;
  const Nanoseconds deadline = os::monotonic_now() + timeout;
  TIARA_TRY_VOID(link->prepare(deadline));
  wire::HandshakeReply reply;
  Shaken shaken = link->connect(deadline);
  if (shaken == Shaken::kAnswered) shaken = link->shake_hands(question, reply, deadline);
  if (shaken == Shaken::kAnswered && reply.status == wire::HandshakeStatus::kWelcome &&
      reply.slots <= link->granted_slots_ && reply.slots >= wire::kMinSlots) {
    link->welcome_ = reply;
    return link;
  }
  Error error{ErrorCode::kInvalidInput, "what answers there is no memory node; check the address"};
  if (shaken == Shaken::kRefused || shaken == Shaken::kUnreachable) {
    error = {ErrorCode::kUnavailable, link->problem_ + "; start it with: tiara node --listen " + url};
  } else if (shaken == Shaken::kAnswered) {
    error = explain_refusal(reply);
  }
  error.message = "cannot reach the memory node at " + url + ": " + error.message;
  return std::unexpected(std::move(error));
}

RdmaLink::~RdmaLink() { end_connection(); }

Result<void> RdmaLink::prepare(Nanoseconds deadline) {
  TIARA_TRY(event_, os::create_event());
  if (find_way(anchor_, deadline) != Shaken::kAnswered)
    return fail(ErrorCode::kUnavailable, "cannot reach the memory node at " + url_ + ": " + problem_ +
                                             "; check the address, and that an RDMA device of this machine reaches it "
                                             "(tiara doctor)");
  TIARA_TRY(domain_, verbs::Domain::create(anchor_));
  TIARA_TRY(slab_, domain_->allocate(Bytes{wire::rdma_slab_bytes(asked_slots_)}, verbs::Access::kReadWrite));
  return {};
}

RdmaLink::Shaken RdmaLink::find_way(verbs::Id& id, Nanoseconds deadline) noexcept {
  auto made = manager_.make_id();
  if (!made) {
    problem_ = made.error().message;
    return made.error().sys_errno == EACCES ? Shaken::kOtherUser : Shaken::kUnreachable;
  }
  id = std::move(*made);
  const auto ask = [&](const char* what, int error, verbs::ManagerEvent::Kind wanted) {
    while (error == 0) {
      const verbs::ManagerEvent event = manager_.await(deadline);
      if (event.kind == wanted && event.id == id.get()) return true;
      if (event.kind == verbs::ManagerEvent::Kind::kNone) error = ETIMEDOUT;
      if (event.kind == verbs::ManagerEvent::Kind::kFailed && event.id == id.get())
        error = event.status < 0 ? -event.status : EHOSTUNREACH;
    }
    problem_ = system_error(what, {}, error).message;
    return false;
  };
  const auto left = [&] { return deadline - os::monotonic_now(); };
  const bool has_way =
      ask("rdma_resolve_addr", verbs::Manager::resolve_address(id, address_, left()),
          verbs::ManagerEvent::Kind::kAddressResolved) &&
      ask("rdma_resolve_route", verbs::Manager::resolve_route(id, left()), verbs::ManagerEvent::Kind::kRouteResolved);
  return has_way ? Shaken::kAnswered : Shaken::kUnreachable;
}

void RdmaLink::end_connection() noexcept {
  if (queue_ != nullptr) {
    queue_->break_off();
    earlier_ = sum(earlier_, queue_->counts());
  }
  queue_.reset();
  id_.reset();  // the peer hears of it
}

// Receives are posted before the request: what the node writes at once finds them.
RdmaLink::Shaken RdmaLink::connect(Nanoseconds deadline) noexcept {
  end_connection();
  if (const Shaken found = find_way(id_, deadline); found != Shaken::kAnswered) return found;
  const uint32_t receives = asked_slots_ + wire::kRdmaExtraReceives;
  auto queue = verbs::Queue::create(id_, *domain_, {receives, send_count()}, 0);
  if (!queue) {
    problem_ = std::move(queue).error().message;
    return Shaken::kUnreachable;
  }
  queue_ = std::move(*queue);
  std::array<verbs::Receive, wire::kMaxSlots + wire::kRdmaExtraReceives> list;
  for (uint32_t i = 0; i < receives; i++) list[i] = {slab_.data(), 0, slab_.local_key(), kReceiveTag};
  std::array<std::byte, wire::kRdmaHelloBytes> hello;
  wire::encode(wire::RdmaHello{asked_slots_, slab_.remote().key, slab_.remote().address, slab_.size()}, hello);
  int error = queue_->post_receives(std::span(list).first(receives)) ? verbs::Manager::connect(id_, hello) : EIO;
  while (error == 0) {
    const verbs::ManagerEvent event = manager_.await(deadline);
    if (event.kind == verbs::ManagerEvent::Kind::kNone) error = ETIMEDOUT;
    if (event.id != id_.get()) continue;
    if (event.kind == verbs::ManagerEvent::Kind::kRefused && event.status == kNoSuchService) {
      problem_ = system_error("rdma_connect", {}, ECONNREFUSED).message;
      return Shaken::kRefused;
    }
    if (event.kind == verbs::ManagerEvent::Kind::kEstablished) {
      wire::RdmaWelcome welcome;
      if (wire::decode(event.private_data(), welcome) != wire::DecodeStatus::kOk || welcome.slots > asked_slots_)
        return Shaken::kNonsense;
      granted_slots_ = welcome.slots;
      return Shaken::kAnswered;
    }
    error = event.status < 0 ? -event.status : ECONNREFUSED;
  }
  problem_ = system_error("rdma_connect", {}, error).message;
  return Shaken::kUnreachable;
}

RdmaLink::Shaken RdmaLink::shake_hands(const wire::Handshake& question, wire::HandshakeReply& reply,
                                       Nanoseconds deadline) noexcept {
  std::byte* const asked = area(wire::kRdmaQuestionOffset);
  wire::encode(question, std::span<std::byte, wire::kHandshakeBytes>(asked, wire::kHandshakeBytes));
  verbs::Send send{};
  send.kind = verbs::Send::Kind::kSend;
  send.signal = verbs::Send::Signal::kYes;
  send.at = asked;
  send.length = wire::kHandshakeBytes;
  send.key = slab_.local_key();
  send.immediate = wire::rdma_immediate(wire::RdmaRequest::kHandshake, wire::RdmaBytes::kInMessage);
  send.tag = kSendTag;
  problem_ = "the connection ended";
  if (!queue_->post_sends({&send, 1})) return Shaken::kUnreachable;
  // Both completions: nothing of the handshake is left in the queue when it becomes the data path's.
  for (uint32_t outstanding = 2; outstanding != 0;) {
    if (!queue_->arm()) return Shaken::kUnreachable;
    verbs::Completion completion;
    while (outstanding != 0 && queue_->poll({&completion, 1}) != 0) {
      if (completion.kind == verbs::Completion::Kind::kBroken) return Shaken::kUnreachable;
      outstanding--;
      if (completion.kind != verbs::Completion::Kind::kReceived) continue;
      if (completion.immediate != wire::kRdmaHandshakeAnswer || !post_receive()) return Shaken::kNonsense;
    }
    if (outstanding == 0) break;
    if (os::monotonic_now() >= deadline) {
      problem_ = "no answer in time";
      return Shaken::kUnreachable;
    }
    wait_for_completions();
  }
  const std::byte* const answer = area(wire::kRdmaAnswerOffset);
  std::array<std::byte, wire::kRdmaHandshakeAnswerBytes> bytes;
  std::copy(answer, answer + bytes.size(), bytes.begin());
  const std::span<const std::byte, wire::kRdmaHandshakeAnswerBytes> all(bytes);
  if (!decode_answer(all.first<wire::kHandshakeReplyBytes>(), reply)) return Shaken::kNonsense;
  const bool has_pool = reply.status == wire::HandshakeStatus::kOtherVersion ||
                        wire::decode(all.last<wire::kRdmaPoolBytes>(), pool_) == wire::DecodeStatus::kOk;
  return has_pool ? Shaken::kAnswered : Shaken::kNonsense;
}

bool RdmaLink::post_receive() noexcept {
  const verbs::Receive receive{slab_.data(), 0, slab_.local_key(), kReceiveTag};
  return queue_->post_receives({&receive, 1});
}

void RdmaLink::wait_for_completions() noexcept {
  std::array<pollfd, 1> sources{{{domain_->descriptor(), POLLIN, 0}}};
  if (!wait_readable(sources, &kSlice)) return;
  while (domain_->next_report()) {
  }
}

RdmaLink::Woken RdmaLink::wait_for_break() noexcept {
  for (;;) {
    std::array<pollfd, 2> sources{{{manager_.descriptor(), POLLIN, 0}, {event_.get(), POLLIN, 0}}};
    if (!wait_readable(sources, nullptr)) continue;
    uint64_t rings = 0;
    if (sources[1].revents != 0 && syscall(SYS_read, event_.get(), &rings, sizeof rings) > 0)
      return Woken::kCalled;
    const verbs::ManagerEvent event = manager_.next();
    const bool is_end = event.kind == verbs::ManagerEvent::Kind::kDisconnected ||
                        event.kind == verbs::ManagerEvent::Kind::kFailed;
    if (is_end && event.id == id_.get()) return Woken::kHungUp;
  }
}

void RdmaLink::wake() noexcept { os::signal_event(event_); }

std::vector<int> RdmaLink::descriptors() const {
  std::vector<int> all = domain_->descriptors();
  all.push_back(manager_.descriptor());
  all.push_back(event_.get());
  return all;
}

Resumed RdmaLink::resume(Nanoseconds timeout, LossReason& reason) noexcept {
  const Nanoseconds deadline = os::monotonic_now() + timeout;
  wire::HandshakeReply reply;
  Shaken shaken = connect(deadline);
  if (shaken == Shaken::kAnswered) shaken = shake_hands(ask_to_resume(welcome_), reply, deadline);
  switch (shaken) {
    case Shaken::kRefused: reason = kNobodyThere; return Resumed::kNever;
    case Shaken::kOtherUser:
      reason = kOtherUser;
      LogLine("rdma: ").text(reason).write();
      return Resumed::kNever;
    case Shaken::kUnreachable:
    case Shaken::kNonsense: return Resumed::kNotYet;
    case Shaken::kAnswered: break;
  }
  if (reply.status == wire::HandshakeStatus::kWelcome && granted_slots_ < welcome_.slots) {
    reason = kRestarted;
    return Resumed::kNever;
  }
  return judge_resumption(welcome_, reply, reason);
}

verbs::WorkCounts RdmaLink::counts() const noexcept {
  return queue_ == nullptr ? earlier_ : sum(earlier_, queue_->counts());
}

}  // namespace tiara::nic
