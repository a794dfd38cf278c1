#include "nic/node/control_service.h"

namespace tiara::nic {

Result<wire::Body> answer_control(Session& session, const wire::ControlHeader& request,
                                  std::span<const std::byte> body) {
  if (request.tenant != session.tenant())
    return fail(ErrorCode::kNoPermission, "the request names another tenant than its session");
  if (session.kind() == SessionKind::kPeer && request.operation != wire::ControlOperation::kHello &&
      request.operation != wire::ControlOperation::kInfo)
    return fail(ErrorCode::kNoPermission, "this address is for other nodes; clients use the one of --listen");
  switch (request.operation) {
    case wire::ControlOperation::kHello: return fail(ErrorCode::kInvalidInput, "a session says hello once");
    case wire::ControlOperation::kInfo: {
      if (!body.empty()) return fail(ErrorCode::kInvalidInput, "info takes nothing");
      return wire::encode(session.info());
    }
    case wire::ControlOperation::kCreateSpace: {
      TIARA_TRY(const uint64_t max_pages, wire::decode_number(body));
      TIARA_TRY(const AddressSpaceId space, session.create_space(max_pages));
      return wire::encode_number(space.value);
    }
    case wire::ControlOperation::kDestroySpace: {
      TIARA_TRY(const uint32_t space, wire::decode_id(body));
      TIARA_TRY_VOID(session.destroy_space(AddressSpaceId{space}));
      return wire::Body();
    }
    case wire::ControlOperation::kRegisterOperator: {
      TIARA_TRY(const OperatorId operation, session.register_operator(body));
      return wire::encode_number(operation.value);
    }
    case wire::ControlOperation::kCloneSpace: {
      TIARA_TRY(const wire::CloneRequest wanted, wire::decode_clone_request(body));
      TIARA_TRY(const ClonedSpace clone, session.clone_space(wanted.space, wanted.kind));
      return wire::encode(clone);
    }
    case wire::ControlOperation::kAdoptSpace: {
      TIARA_TRY(const ClonedSpace clone, wire::decode_cloned_space(body));
      TIARA_TRY_VOID(session.adopt_space(clone));
      return wire::Body();
    }
    case wire::ControlOperation::kAllocateData: {
      TIARA_TRY(const wire::DataRequest data, wire::decode_data_request(body));
      TIARA_TRY_VOID(session.allocate_data(data.space, data.size));
      return wire::Body();
    }
    case wire::ControlOperation::kLetGo: return wire::Body();  // the server's to act on, if it has leases
  }
  return fail(ErrorCode::kInvalidInput, "unknown control operation");
}

}  // namespace tiara::nic
