#include "nic/transport/peer_set.h"

#include <algorithm>

#include "nic/transport/connect.h"
#include "runtime/base/log.h"
#include "runtime/os/futex.h"

namespace tiara::nic {
namespace {

// How often a peer that is away is tried again. A refused connection costs microseconds.
constexpr std::chrono::milliseconds kRetry{200};

// What the peer's operator says, as the program that asked must see it. Everything but the faults of the access itself
// (a refusal, an answer that makes no sense) means that the peer does not serve this.
Fault fault_of(const Outcome& outcome) noexcept {
  if (outcome.status == Status::kOk) return Fault::kNone;
  const auto fault = static_cast<Fault>(outcome.code);
  const bool is_of_the_access = outcome.status == Status::kFault &&
      (fault == Fault::kRegionBounds || fault == Fault::kRegionPermission || fault == Fault::kMisaligned);
  return is_of_the_access ? fault : Fault::kRemoteUnavailable;
}

}  // namespace

PeerSet::PeerSet(const PeerConfig& config) : timeout_(config.timeout), token_(config.token) {}

Result<std::shared_ptr<PeerSet>> PeerSet::create(const PeerConfig& config) {
  std::shared_ptr<PeerSet> set(new PeerSet(config));
  for (const PeerAddress& address : config.peers) {
    if (address.host >= kMaxHosts)
      return fail(ErrorCode::kInvalidInput, "peer " + std::to_string(address.host) + " cannot be; use numbers below " +
                                                std::to_string(kMaxHosts));
    if (set->by_host_[address.host] != nullptr)
      return fail(ErrorCode::kInvalidInput,
                  "peer " + std::to_string(address.host) + " is named twice; give each a number of its own");
    if (!address.url.starts_with("shm://") && !address.url.starts_with("tcp://"))
      return fail(ErrorCode::kInvalidInput, "peer " + std::to_string(address.host) + ": cannot reach \"" + address.url +
                                                "\"; use shm://PATH or tcp://HOST:PORT");
    auto peer = std::make_unique<Peer>();
    peer->host = address.host;
    peer->url = address.url;
    set->by_host_[address.host] = peer.get();
    set->peers_.push_back(std::move(peer));
  }
  TIARA_TRY(set->thread_, os::Thread::start("tiara-peers", [self = set.get()] { self->keep_links(); }));
  return set;
}

PeerSet::~PeerSet() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with keep_links()
  wake();
  thread_.join();
}

// --- remote operations ---

Fault PeerSet::ask(uint64_t host, Operation operation, std::span<const uint64_t> arguments, std::span<std::byte> room,
                   Outcome& outcome) noexcept {
  Peer* const peer = host < kMaxHosts ? by_host_[host] : nullptr;
  if (peer == nullptr || !peer->gate.try_enter()) return Fault::kRemoteUnavailable;
  const OperatorId id = peer->operators[static_cast<size_t>(operation)];
  const Reply reply = peer->channel->call({.operation = id, .space = {}, .arguments = arguments}, room);
  const bool is_lost = reply.call == CallStatus::kNodeLost;
  if (is_lost) peer->is_broken.store(true, std::memory_order_release);  // pairs with tend()
  peer->gate.leave();
  if (is_lost) {
    wake();
    return Fault::kRemoteUnavailable;
  }
  outcome = reply.outcome;
  return fault_of(outcome);
}

Fault PeerSet::ask_word(uint64_t host, Operation operation, std::span<const uint64_t> arguments,
                        uint64_t& word) noexcept {
  Outcome outcome;
  const Fault fault = ask(host, operation, arguments, {}, outcome);
  if (fault == Fault::kNone) word = outcome.results[0];
  return fault;
}

Fault PeerSet::load(RemoteAddress address, uint64_t& value) noexcept {
  return ask_word(address.host, Operation::kLoad, std::array{address.offset}, value);
}

Fault PeerSet::store(RemoteAddress address, uint64_t value) noexcept {
  uint64_t ignored;
  return ask_word(address.host, Operation::kStore, std::array{address.offset, value}, ignored);
}

Fault PeerSet::compare_and_swap(RemoteAddress address, uint64_t expected, uint64_t desired, uint64_t& old) noexcept {
  return ask_word(address.host, Operation::kCas, std::array{address.offset, expected, desired}, old);
}

Fault PeerSet::fetch_and_add(RemoteAddress address, uint64_t addend, uint64_t& old) noexcept {
  return ask_word(address.host, Operation::kAdd, std::array{address.offset, addend}, old);
}

Fault PeerSet::swap(RemoteAddress address, uint64_t desired, uint64_t& old) noexcept {
  return ask_word(address.host, Operation::kSwap, std::array{address.offset, desired}, old);
}

// One call: a program's whole reply is no longer than a channel's.
Fault PeerSet::read_bytes(RemoteAddress address, std::span<std::byte> out) noexcept {
  Outcome outcome;
  const std::array arguments{address.offset, uint64_t{out.size()}};
  const Fault fault = ask(address.host, Operation::kRead, arguments, out, outcome);
  if (fault != Fault::kNone) return fault;
  return outcome.reply_bytes == out.size() ? Fault::kNone : Fault::kRemoteUnavailable;
}

// --- the link thread ---

bool PeerSet::is_connected(uint32_t host) const noexcept {
  return host < kMaxHosts && by_host_[host] != nullptr && !by_host_[host]->gate.is_closed();
}

void PeerSet::wake() noexcept {
  wakes_.fetch_add(1, std::memory_order_release);  // pairs with keep_links()
  os::futex_wake_all(wakes_, os::FutexScope::kPrivate);
}

void PeerSet::keep_links() noexcept {
  for (;;) {
    const uint32_t seen = wakes_.load(std::memory_order_acquire);
    for (const auto& peer : peers_) {
      if (is_stopping_.load(std::memory_order_acquire)) return;
      tend(*peer);
    }
    if (is_stopping_.load(std::memory_order_acquire)) return;
    (void)os::futex_wait(wakes_, seen, kRetry, os::FutexScope::kPrivate);
  }
}

void PeerSet::tend(Peer& peer) noexcept {
  if (peer.channel != nullptr && (peer.is_broken.load(std::memory_order_acquire) || peer.channel->is_lost())) {
    peer.gate.close_and_drain();  // at most the bound on one operation
    peer.channel.reset();
    peer.is_broken.store(false, std::memory_order_relaxed);
    LogLine("peer ").number(peer.host).text(" at ").text(peer.url.c_str())
        .text(" is lost; remote operations on it fault until it is back").write();
    peer.has_complained = true;
  }
  if (peer.channel != nullptr) return;
  if (const auto reached = reach(peer); !reached) {
    peer.channel.reset();
    if (!peer.has_complained)
      LogLine("peer ").number(peer.host).text(": ").text(reached.error().message.c_str()).text("; tried again").write();
    peer.has_complained = true;
    return;
  }
  peer.has_complained = false;
  peer.gate.open();
}

Result<void> PeerSet::reach(Peer& peer) {
  ConnectOptions options;
  options.node_timeout = timeout_;
  options.token = token_;
  TIARA_TRY(peer.channel, connect(peer.url, options));
  TIARA_TRY(const NodeInfo info, peer.channel->info());
  for (size_t i = 0; i < kOperators.size(); i++) {
    const auto found = std::ranges::find(info.operators, kOperators[i], [](const auto& named) { return named.first; });
    if (found == info.operators.end())
      return fail(ErrorCode::kUnsupported, peer.url + " serves no peers; start that node with --shared and name its "
                                                      "--peers-listen address");
    peer.operators[i] = found->second;
  }
  return {};
}

}  // namespace tiara::nic
