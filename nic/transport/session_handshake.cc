#include "nic/transport/session_handshake.h"

#include <algorithm>
#include <string>

namespace tiara::nic {

using wire::HandshakeStatus;

Result<wire::Handshake> ask_to_open(uint32_t slots, std::string_view token) {
  if (token.size() > wire::kMaxHandshakeToken)
    return fail(ErrorCode::kInvalidInput, "a token of " + std::to_string(token.size()) + " bytes; use at most " +
                                              std::to_string(wire::kMaxHandshakeToken));
  wire::Handshake question;
  question.slots = slots;
  question.token_bytes = static_cast<uint32_t>(token.size());
  std::copy(token.begin(), token.end(), question.token.begin());
  return question;
}

wire::Handshake ask_to_resume(const wire::HandshakeReply& welcome) noexcept {
  wire::Handshake question;
  question.kind = wire::HandshakeKind::kResume;
  question.instance = welcome.instance;
  question.session = welcome.session;
  question.secret = welcome.secret;
  return question;
}

bool decode_answer(std::span<const std::byte, wire::kHandshakeReplyBytes> bytes, wire::HandshakeReply& reply) noexcept {
  const auto decoded = wire::decode(bytes, reply);
  if (decoded != wire::DecodeStatus::kBadVersion) return decoded == wire::DecodeStatus::kOk;
  reply = {};
  reply.status = HandshakeStatus::kOtherVersion;
  return true;
}

Error explain_refusal(const wire::HandshakeReply& reply) {
  const std::string why(reply.used_text());
  switch (reply.status) {
    case HandshakeStatus::kNoPermission: return {ErrorCode::kNoPermission, why};
    case HandshakeStatus::kFull: return {ErrorCode::kResourceExhausted, why};
    case HandshakeStatus::kDraining: return {ErrorCode::kUnavailable, why};
    case HandshakeStatus::kOtherVersion:
      return {ErrorCode::kUnsupported, "it speaks another version; use the same version of tiara on both sides"};
    case HandshakeStatus::kWelcome:
    case HandshakeStatus::kOtherInstance:
    case HandshakeStatus::kExpired:
    case HandshakeStatus::kMalformed: break;
  }
  return {ErrorCode::kInvalidInput, "it refuses: " + why + "; use the same version of tiara on both sides"};
}

Resumed judge_resumption(wire::HandshakeReply& welcome, const wire::HandshakeReply& reply,
                         LossReason& reason) noexcept {
  switch (reply.status) {
    case HandshakeStatus::kWelcome:
      if (reply.instance != welcome.instance || reply.session != welcome.session || reply.secret != welcome.secret ||
          reply.slots != welcome.slots || reply.tenant != welcome.tenant || reply.epoch <= welcome.epoch) {
        reason = kRestarted;
        return Resumed::kNever;
      }
      welcome.epoch = reply.epoch;
      return Resumed::kUp;
    case HandshakeStatus::kOtherInstance: reason = kRestarted; return Resumed::kNever;
    case HandshakeStatus::kExpired: reason = kLeaseOver; return Resumed::kNever;
    case HandshakeStatus::kNoPermission:
    case HandshakeStatus::kOtherVersion: reason = kRefuses; return Resumed::kNever;
    case HandshakeStatus::kFull:
    case HandshakeStatus::kDraining:
    case HandshakeStatus::kMalformed: break;  // our question was corrupted on its way
  }
  return Resumed::kNotYet;
}

}  // namespace tiara::nic
