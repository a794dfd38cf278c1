#include "nic/transport/remote_channel.h"

namespace tiara::nic {

using wire::Body;
using wire::ControlOperation;

Result<NodeInfo> RemoteChannel::info() {
  TIARA_TRY(const Body body, ask(ControlOperation::kInfo, {}));
  return wire::decode_info(body);
}

Result<AddressSpaceId> RemoteChannel::create_space(uint64_t max_pages) {
  TIARA_TRY(const Body body, ask(ControlOperation::kCreateSpace, wire::encode_number(max_pages)));
  TIARA_TRY(const uint32_t id, wire::decode_id(body));
  return AddressSpaceId{id};
}

Result<void> RemoteChannel::destroy_space(AddressSpaceId space) {
  TIARA_TRY_VOID(ask(ControlOperation::kDestroySpace, wire::encode_number(space.value)));
  return {};
}

Result<ClonedSpace> RemoteChannel::clone_space(AddressSpaceId space, CloneKind kind) {
  TIARA_TRY(const Body body, ask(ControlOperation::kCloneSpace, wire::encode(wire::CloneRequest{space, kind})));
  return wire::decode_cloned_space(body);
}

Result<void> RemoteChannel::adopt_space(const ClonedSpace& clone) {
  TIARA_TRY_VOID(ask(ControlOperation::kAdoptSpace, wire::encode(clone)));
  return {};
}

Result<void> RemoteChannel::allocate_data(AddressSpaceId space, Bytes size) {
  TIARA_TRY_VOID(ask(ControlOperation::kAllocateData, wire::encode(wire::DataRequest{space, size})));
  return {};
}

Result<OperatorId> RemoteChannel::register_operator(std::span<const std::byte> container) {
  if (container.size() > wire::kMaxControlBody)
    return fail(ErrorCode::kInvalidInput, "an operator of " + std::to_string(container.size()) + " bytes is too large");
  TIARA_TRY(const Body body, ask(ControlOperation::kRegisterOperator, container));
  TIARA_TRY(const uint32_t id, wire::decode_id(body));
  return OperatorId{id};
}

}  // namespace tiara::nic
