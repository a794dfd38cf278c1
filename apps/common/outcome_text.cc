#include "apps/common/outcome_text.h"

#include <fmt/core.h>

namespace tiara::apps {

using nic::Fault;
using nic::Refusal;
using nic::Status;

std::string_view to_string(Status status) {
  switch (status) {
    case Status::kOk: return "ok";
    case Status::kFailed: return "failed";
    case Status::kFault: return "fault";
    case Status::kRefused: return "refused";
  }
  return "unknown";
}

std::string_view describe(Fault fault) {
  switch (fault) {
    case Fault::kNone: return "none";
    case Fault::kRegionBounds: return "an access left its region";
    case Fault::kRegionPermission: return "a region does not grant this kind of access";
    case Fault::kMisaligned: return "an atomic or a line load at an odd offset";
    case Fault::kScratchpadBounds: return "an access left the scratchpad";
    case Fault::kPayloadBounds: return "a scatter past the end of the payload";
    case Fault::kReplyBounds: return "a gather or emit past the room for the reply";
    case Fault::kLoopBound: return "a trip count above the loop's declared bound";
    case Fault::kStepBudget: return "more steps than were proved";
    case Fault::kIllegalInstruction: return "an illegal instruction";
    case Fault::kRemoteUnavailable: return "no path to the named host";
  }
  return "an unknown fault";
}

std::string_view describe(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone: return "none";
    case Refusal::kMalformedFrame: return "a malformed frame";
    case Refusal::kUnknownOperator: return "no such operator";
    case Refusal::kUnknownAddressSpace: return "no such address space";
    case Refusal::kArgumentCount: return "a wrong number of arguments";
    case Refusal::kArgumentRange: return "an argument outside the program's contract";
    case Refusal::kPayloadSize: return "a payload of a wrong size";
    case Refusal::kReplyRoom: return "too little room for the reply";
    case Refusal::kRegionUnbound: return "a declared region is not bound, or with less permission";
    case Refusal::kNotAuthorised: return "not authorised";
    case Refusal::kOverloaded: return "the tenant's operator time is used up for now";
    case Refusal::kQuota: return "the tenant's quota of memory has no room";
  }
  return "an unknown refusal";
}

std::string reason_of(const nic::Outcome& outcome) {
  switch (outcome.status) {
    case Status::kOk: return {};
    case Status::kFailed: return fmt::format("the program gave up with reason {}", outcome.code);
    case Status::kFault: return std::string(describe(static_cast<Fault>(outcome.code)));
    case Status::kRefused: return std::string(describe(static_cast<Refusal>(outcome.code)));
  }
  return {};
}

}  // namespace tiara::apps
