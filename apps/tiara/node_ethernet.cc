#include "apps/tiara/node_ethernet.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdio>

namespace tiara::apps {
namespace {

constexpr size_t kFrameBytes =
    nic::wire::kEthernetHeaderBytes + nic::wire::kFrameBytes + nic::wire::kPieceBytes;  // the longest
constexpr size_t kFramesATurn = 256;            // then whoever wants the pool at rest may have it
constexpr os::Nanoseconds kLook{100'000'000};   // how long the end may have to wait for an idle thread

}  // namespace

Result<nic::wire::NetworkAddress> parse_network_address(const std::string& text) {
  const auto malformed = [&] {
    return fail(ErrorCode::kInvalidInput,
                text + " is no network address; write MAC,IP:PORT, as in 02:74:6e:69:63:01,10.77.0.1:4791");
  };
  std::array<unsigned, 6> mac{};
  int end = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x,%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
                  &end) != 6 || end == 0)
    return malformed();
  const std::string rest = text.substr(static_cast<size_t>(end));
  const size_t colon = rest.find(':');
  in_addr ip{};
  if (colon == std::string::npos || inet_pton(AF_INET, rest.substr(0, colon).c_str(), &ip) != 1) return malformed();
  nic::wire::NetworkAddress address;
  const char* const last = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data() + colon + 1, last, address.port);
  if (error != std::errc() || stop != last || address.port == 0) return malformed();
  for (const unsigned byte : mac) address.mac = address.mac << 8 | byte;
  if ((mac[0] & 1) != 0 || address.mac == 0) return malformed();  // a group's, or nobody's
  address.ip = ntohl(ip.s_addr);
  return address;
}

std::string to_text(const nic::wire::NetworkAddress& address) {
  std::array<uint64_t, 6> mac{};
  for (size_t i = 0; i < mac.size(); ++i) mac[i] = address.mac >> (8 * (5 - i)) & 0xff;
  return fmt::format("{:02x},{}.{}.{}.{}:{}", fmt::join(mac, ":"), address.ip >> 24, address.ip >> 16 & 0xff,
                     address.ip >> 8 & 0xff, address.ip & 0xff, address.port);
}

Result<std::unique_ptr<NodeEthernet>> NodeEthernet::serve(const EthernetConfig& config, const std::string& token,
                                                          nic::MemoryNode& node, nic::rtl::NicEngine& engine) {
  TIARA_TRY(EthernetDevice device, EthernetDevice::open(config.device, kFrameBytes));
  TIARA_TRY(auto session, node.open_session(token));
  std::unique_ptr<NodeEthernet> made(new NodeEthernet(std::move(device), std::move(session), engine));
  for (const auto& client : config.clients) TIARA_TRY_VOID(made->admit(client, node.pool().max_pages()));
  TIARA_TRY(made->thread_, os::Thread::start("tiara-ethernet", [self = made.get()] { self->run(); }));
  return made;
}

NodeEthernet::~NodeEthernet() {
  is_stopping_.store(true, std::memory_order_relaxed);
  thread_.join();
  session_->close();
}

Result<void> NodeEthernet::admit(const nic::wire::NetworkAddress& address, uint64_t max_pages) {
  Client client{address, {}, {}, {}};
  TIARA_TRY(client.space, session_->create_space(max_pages));
  TIARA_TRY(const auto granted, session_->grants(client.space));
  std::vector<nic::rtl::Grant> grants;
  for (const auto& each : granted) {
    client.operators.push_back(each.name);
    grants.push_back({each.program, each.regions});
  }
  TIARA_TRY(client.admission, engine_.admit(address, grants));
  clients_.push_back(std::move(client));
  return {};
}

std::vector<std::string> NodeEthernet::describe() const {
  std::vector<std::string> lines;
  for (const Client& client : clients_) {
    std::string line = fmt::format("client {} at {}, tenant {}, space {}:", client.admission.client,
                                   to_text(client.address), client.admission.tenant, client.admission.space);
    for (size_t i = 0; i < client.operators.size(); ++i)
      line += fmt::format("{} {} {}", i == 0 ? "" : ",", client.operators[i], client.admission.operators[i]);
    lines.push_back(std::move(line));
  }
  return lines;
}

NodeEthernet::Figures NodeEthernet::figures() const noexcept {
  return {received_.load(std::memory_order_relaxed), sent_.load(std::memory_order_relaxed),
          unsent_.load(std::memory_order_relaxed)};
}

// --- the thread ---

void NodeEthernet::run() noexcept {
  std::vector<std::vector<std::byte>> frames;
  std::vector<std::byte> buffer(2 * kFrameBytes);  // what is longer than any of ours is cut, and the NIC drops it
  while (!is_stopping_.load(std::memory_order_relaxed)) {
    frames.clear();
    while (frames.size() < kFramesATurn) {
      const auto bytes = device_.receive(buffer);
      if (!bytes) break;
      frames.emplace_back(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*bytes));
    }
    if (frames.empty()) {
      device_.wait(kLook);
      continue;
    }
    received_.fetch_add(frames.size(), std::memory_order_relaxed);
    exchange_within(frames, 0);
  }
}

// Inside all clients' spaces, so that the pool is not at rest while their requests run.
void NodeEthernet::exchange_within(std::span<const std::vector<std::byte>> frames, size_t entered) {
  if (entered == clients_.size()) return exchange(frames);
  session_->while_entered(clients_[entered].space, [&] { exchange_within(frames, entered + 1); });
}

void NodeEthernet::exchange(std::span<const std::vector<std::byte>> frames) {
  std::vector<std::vector<std::byte>> out;
  engine_.exchange(frames, out);
  for (const auto& frame : out)
    (device_.send(frame) ? sent_ : unsent_).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace tiara::apps
