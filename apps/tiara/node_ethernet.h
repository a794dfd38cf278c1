// A node's clients over Ethernet: their frames go into the simulated NIC as they are, and its frames out to them. Each
// has an address space of its own; what it may run there was granted to it, and nobody stands between.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "apps/tiara/ethernet_device.h"
#include "nic/node/memory_node.h"
#include "nic/rtl/nic_engine.h"
#include "nic/wire/ethernet.h"
#include "runtime/os/thread.h"

namespace tiara::apps {

struct EthernetConfig {
  std::string device;  // empty: none
  nic::wire::NetworkAddress address;
  std::vector<nic::wire::NetworkAddress> clients;
};

// MAC,IP:PORT, as in 02:74:6e:69:63:01,10.77.0.1:4791.
Result<nic::wire::NetworkAddress> parse_network_address(const std::string& text);
std::string to_text(const nic::wire::NetworkAddress& address);

class NodeEthernet {
 public:
  static Result<std::unique_ptr<NodeEthernet>> serve(const EthernetConfig& config, const std::string& token,
                                                     nic::MemoryNode& node, nic::rtl::NicEngine& engine);
  ~NodeEthernet();  // before the node
  NodeEthernet(const NodeEthernet&) = delete;
  NodeEthernet& operator=(const NodeEthernet&) = delete;

  // A line for each client: how it names its space and its operators.
  std::vector<std::string> describe() const;

  struct Figures {
    uint64_t received = 0, sent = 0, unsent = 0;  // frames
  };
  Figures figures() const noexcept;

 private:
  struct Client {
    nic::wire::NetworkAddress address;
    nic::AddressSpaceId space;
    nic::rtl::Admission admission;
    std::vector<std::string> operators;
  };
  NodeEthernet(EthernetDevice device, std::unique_ptr<nic::Session> session, nic::rtl::NicEngine& engine)
      : device_(std::move(device)), session_(std::move(session)), engine_(engine) {}
  Result<void> admit(const nic::wire::NetworkAddress& address, uint64_t max_pages);
  void run() noexcept;
  void exchange(std::span<const std::vector<std::byte>> frames);
  void exchange_within(std::span<const std::vector<std::byte>> frames, size_t entered);

  EthernetDevice device_;
  std::unique_ptr<nic::Session> session_;
  nic::rtl::NicEngine& engine_;
  std::vector<Client> clients_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> received_{0}, sent_{0}, unsent_{0};
  os::Thread thread_;
};

}  // namespace tiara::apps
