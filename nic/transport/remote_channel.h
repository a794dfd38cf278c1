// A channel to a node in another process: its control calls are questions that travel (nic/wire/control.h).
#pragma once

#include "nic/transport/channel.h"
#include "nic/wire/control.h"

namespace tiara::nic {

class RemoteChannel : public Channel {
 public:
  Result<NodeInfo> info() final;
  Result<AddressSpaceId> create_space(uint64_t max_pages) final;
  Result<void> destroy_space(AddressSpaceId space) final;
  Result<ClonedSpace> clone_space(AddressSpaceId space, CloneKind kind) final;
  Result<void> adopt_space(const ClonedSpace& clone) final;
  Result<void> allocate_data(AddressSpaceId space, Bytes size) final;
  Result<OperatorId> register_operator(std::span<const std::byte> container) final;

 protected:
  struct Answer {
    wire::ControlHeader header;
    wire::Body body;
  };

 private:
  // The body of the node's answer, or its "no"; kUnavailable: the node is lost.
  virtual Result<wire::Body> ask(wire::ControlOperation operation, std::span<const std::byte> body) = 0;
};

}  // namespace tiara::nic
