// Abstract interpretation of a program to a fixpoint.
//
// Loops are structured and all other branches go forward, so one walk over the code in order meets every
// instruction after everything that leads to it, except for the edge from an ENDLOOP back to its loop's head.
// Each loop keeps an invariant: a state that describes the start of every round. A walk assumes the
// invariants and finds out whether they hold (the entry and the end of the body are included). The search
// widens them until a walk finds nothing to change, then narrows; the LAST walk, which proves the
// preconditions and records the facts, checks every invariant again. Soundness rests on that walk alone, not
// on how the invariants were found.
#pragma once

#include <expected>
#include <optional>
#include <vector>

#include "nic/isa/program.h"
#include "nic/verifier/facts.h"
#include "nic/verifier/flow.h"
#include "nic/verifier/verifier_limits.h"
#include "nic/verifier/state.h"

namespace tiara::nic {

// The states of all instructions take megabytes for a large program: kept for explaining and for fuzzing.
enum class KeepStates : uint8_t { kNo, kYes };

struct FixpointResult {
  std::vector<InstructionFacts> facts;
  std::vector<std::optional<AbstractState>>
      states;         // before each instruction; empty = unreachable; kYes only
  uint64_t work = 0;  // instructions looked at
};

std::expected<FixpointResult, Rejection> find_fixpoint(const Program& program, const Flow& flow,
                                                       const VerifierLimits& limits, KeepStates keep);

}  // namespace tiara::nic
