#include "nic/verifier/verified_program.h"

#include <optional>
#include <string>
#include <utility>

#include "nic/verifier/analysis.h"
#include "nic/verifier/fixpoint.h"
#include "nic/verifier/flow.h"

namespace tiara::nic {
namespace {

std::optional<Rejection> exceeds(Requirement requirement, uint64_t proved, uint64_t limit, const char* what,
                                 const char* whose, const char* cure) {
  if (proved <= limit) return std::nullopt;
  const std::string most = proved == UINT64_MAX ? "any number of" : "up to " + std::to_string(proved);
  return Rejection{.requirement = requirement,
                   .instruction = 0,
                   .detail = most + " " + what + ", where " + whose + " " + std::to_string(limit),
                   .state = {},
                   .cure = cure};
}

std::optional<Rejection> check_bounds(const Program& program, const VerifierLimits& limits,
                                      const Bounds& bounds) {
  constexpr const char* kNode = "the node allows";
  constexpr const char* kAuthor = "the program declares";
  constexpr const char* kShorter = "lower the loops' bounds, or bound their trip counts";
  constexpr const char* kLength = "bound the lengths: mask them, take their min, or compare them";
  const std::optional<Rejection> checks[] = {
      exceeds(Requirement::kStepBound, bounds.steps, limits.max_steps, "steps", kNode, kShorter),
      exceeds(Requirement::kStepBound, bounds.steps, program.declared.max_steps, "steps", kAuthor, kShorter),
      exceeds(Requirement::kReplyBound, bounds.reply_bytes, program.declared.max_reply_bytes, "reply bytes",
              kAuthor, "declare the room, or bound the lengths and the loops that gather"),
      exceeds(Requirement::kReplyBound, bounds.reply_bytes, limits.max_reply_bytes, "reply bytes", kNode,
              kLength),
      exceeds(Requirement::kByteBound, bounds.bytes_moved, limits.max_bytes_moved, "bytes moved", kNode,
              kLength),
      exceeds(Requirement::kRemoteBound, bounds.remote_operations, limits.max_remote_operations,
              "remote operations", kNode, kShorter),
      exceeds(Requirement::kInFlightBound, bounds.in_flight, limits.max_in_flight,
              "bulk operations in flight", kNode, "wait inside the loop that starts them"),
  };
  for (const auto& check : checks) {
    if (check) return check;
  }
  return std::nullopt;
}

struct Proof {
  Flow flow;
  FixpointResult fixpoint;
  Bounds bounds;
};

std::expected<Proof, Rejection> prove(const Program& program, const VerifierLimits& limits, KeepStates keep) {
  if (const auto form = check_well_formed(program); !form) {
    return std::unexpected(Rejection{.requirement = Requirement::kWellFormed,
                                     .instruction = 0,
                                     .detail = form.error().message,
                                     .state = {},
                                     .cure = {}});
  }
  auto flow = Flow::of(program.code);
  if (!flow) return std::unexpected(flow.error());
  auto fixpoint = find_fixpoint(program, *flow, limits, keep);
  if (!fixpoint) return std::unexpected(fixpoint.error());
  const Bounds bounds = prove_bounds(program, *flow, fixpoint->facts);
  if (auto rejection = check_bounds(program, limits, bounds)) return std::unexpected(*rejection);
  return Proof{std::move(*flow), std::move(*fixpoint), bounds};
}

}  // namespace

std::expected<VerifiedProgram, Rejection> verify(Program program, const VerifierLimits& limits) {
  auto proof = prove(program, limits, KeepStates::kNo);
  if (!proof) return std::unexpected(proof.error());
  return VerifiedProgram(std::make_shared<const VerifiedProgram::Content>(
      VerifiedProgram::Content{std::move(program), proof->bounds, std::move(proof->fixpoint.facts)}));
}

std::expected<Analysis, Rejection> analyze(const Program& program, const VerifierLimits& limits) {
  auto proof = prove(program, limits, KeepStates::kYes);
  if (!proof) return std::unexpected(proof.error());
  const uint64_t time = worst_case_ps(program, proof->flow, proof->fixpoint.facts, fpga_over_pcie());
  return Analysis{std::move(proof->fixpoint.facts), std::move(proof->fixpoint.states), proof->bounds, time,
                  proof->fixpoint.work};
}

uint64_t VerifiedProgram::worst_case_ps(const DeviceConstants& device) const {
  const auto flow = Flow::of(content_->program.code);
  return nic::worst_case_ps(content_->program, *flow, content_->facts, device);
}

}  // namespace tiara::nic
