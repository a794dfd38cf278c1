// The engine's way to other memory nodes (nic/engine/remote_port.h) over channels: each remote operation is one call of
// a small verified operator at the peer, on the region that the peer shares.
//
// A peer is served by threads that do nothing else and never wait for a node themselves (SessionKind::kPeer), so nodes
// that call each other, in whatever circle, cannot wait for each other for ever. An operation that is not answered
// within the bound, and every one on a host that is not connected, faults with kRemoteUnavailable.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nic/engine/remote_port.h"
#include "nic/node/use_gate.h"
#include "nic/transport/channel.h"
#include "runtime/base/error.h"
#include "runtime/os/thread.h"

namespace tiara::nic {

struct PeerAddress {
  uint32_t host = 0;  // what programs call it
  std::string url;    // where it serves peers
};

struct PeerConfig {
  std::vector<PeerAddress> peers;
  std::chrono::milliseconds timeout{2'000};  // the bound on one operation, and on one try to connect
  std::string token;
};

class PeerSet final : public RemotePort {
 public:
  static constexpr uint32_t kMaxHosts = 64;

  // Starts to connect, and keeps doing so: peers may come, go and come back in any order.
  static Result<std::shared_ptr<PeerSet>> create(const PeerConfig& config);
  ~PeerSet() override;

  Fault load(RemoteAddress address, uint64_t& value) noexcept override;
  Fault store(RemoteAddress address, uint64_t value) noexcept override;
  Fault compare_and_swap(RemoteAddress address, uint64_t expected, uint64_t desired, uint64_t& old) noexcept override;
  Fault fetch_and_add(RemoteAddress address, uint64_t addend, uint64_t& old) noexcept override;
  Fault swap(RemoteAddress address, uint64_t desired, uint64_t& old) noexcept override;
  Fault read_bytes(RemoteAddress address, std::span<std::byte> out) noexcept override;

  bool is_connected(uint32_t host) const noexcept;

 private:
  // The operators of nic/operators/peer_*.tiara, in this order.
  enum class Operation : uint8_t { kLoad, kStore, kCas, kAdd, kSwap, kRead };
  static constexpr std::array<std::string_view, 6> kOperators = {"peer_load", "peer_store", "peer_cas",
                                                                 "peer_add",  "peer_swap",  "peer_read"};
  struct Peer {
    uint32_t host = 0;
    std::string url;
    UseGate gate;  // open while the next two stand; only the link thread changes them, behind a closed gate
    std::unique_ptr<Channel> channel;
    std::array<OperatorId, kOperators.size()> operators{};
    std::atomic<bool> is_broken{false};  // a caller found the channel lost
    bool has_complained = false;         // the link thread's: one line for each time it is away
  };

  explicit PeerSet(const PeerConfig& config);
  Fault ask(uint64_t host, Operation operation, std::span<const uint64_t> arguments, std::span<std::byte> room,
            Outcome& outcome) noexcept;
  Fault ask_word(uint64_t host, Operation operation, std::span<const uint64_t> arguments, uint64_t& word) noexcept;
  void keep_links() noexcept;
  void tend(Peer& peer) noexcept;
  Result<void> reach(Peer& peer);
  void wake() noexcept;

  const std::chrono::milliseconds timeout_;
  const std::string token_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::array<Peer*, kMaxHosts> by_host_{};
  std::atomic<uint32_t> wakes_{0};  // a futex of the link thread
  std::atomic<bool> is_stopping_{false};
  os::Thread thread_;  // last: it uses all of the above
};

}  // namespace tiara::nic
