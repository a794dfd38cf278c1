// How a session is opened and taken up again (nic/wire/handshake.h), whatever the link runs over: what is asked, and
// what an answer means.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "nic/wire/handshake.h"
#include "runtime/base/error.h"

namespace tiara::nic {

// How an attempt to make a broken link again ended.
enum class Resumed : uint8_t { kUp, kNotYet, kNever };

// Why a node is lost for good, for people: strings that live for ever.
using LossReason = const char*;

inline constexpr LossReason kSilent = "it did not answer within the bound on waiting (--node-timeout)";
inline constexpr LossReason kRestarted = "it was started again and has none of the pages";
inline constexpr LossReason kLeaseOver = "the lease ran out before it could be reached again";
inline constexpr LossReason kNobodyThere = "nobody listens there any more";
inline constexpr LossReason kRefuses = "it refuses to take the session up again";

// kInvalidInput: the token is too long.
Result<wire::Handshake> ask_to_open(uint32_t slots, std::string_view token);
wire::Handshake ask_to_resume(const wire::HandshakeReply& welcome) noexcept;

// Another version's answer decodes to one that says so (kOtherVersion). False: it is no answer of a node.
bool decode_answer(std::span<const std::byte, wire::kHandshakeReplyBytes> bytes, wire::HandshakeReply& reply) noexcept;

// Why a session was not opened.
Error explain_refusal(const wire::HandshakeReply& reply);

// What the answer to ask_to_resume() means. kUp: `welcome` has the new epoch; kNever: `reason` says why. Fail closed: a
// welcome must be about the very session that there was.
Resumed judge_resumption(wire::HandshakeReply& welcome, const wire::HandshakeReply& reply, LossReason& reason) noexcept;

}  // namespace tiara::nic
