#include "nic/engine/dispatch.h"

namespace tiara::nic {

Refusal check_contract(const Program& program, const Invocation& invocation) noexcept {
  if (invocation.arguments.size() != program.arguments.size()) return Refusal::kArgumentCount;
  if (invocation.payload.size() > kMaxProgramPayloadBytes) return Refusal::kPayloadSize;
  for (size_t i = 0; i < program.arguments.size(); ++i)
    if (!program.arguments[i].admits(invocation.arguments[i])) return Refusal::kArgumentRange;
  for (size_t i = 0; i < program.regions.size(); ++i)
    if (!program.regions[i].is_remote && !allows(invocation.regions[i].permission, program.regions[i].permission))
      return Refusal::kRegionUnbound;
  return Refusal::kNone;
}

Outcome refused(Refusal refusal) noexcept {
  Outcome outcome;
  outcome.status = Status::kRefused;
  outcome.code = static_cast<uint16_t>(refusal);
  return outcome;
}

}  // namespace tiara::nic
