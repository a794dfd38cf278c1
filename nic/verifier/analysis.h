// The verifier's whole result, for people and for tests: facts, bounds, and the state before each
// instruction.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nic/isa/program.h"
#include "nic/verifier/bounds.h"
#include "nic/verifier/fixpoint.h"
#include "nic/verifier/verifier_limits.h"
#include "nic/verifier/rejection.h"

namespace tiara::nic {

struct Analysis {
  std::vector<InstructionFacts> facts;
  std::vector<std::optional<AbstractState>> states;  // before each instruction; nothing where no run gets
  Bounds bounds;
  uint64_t worst_case_ps = 0;  // on fpga_over_pcie()
  uint64_t work = 0;           // instructions looked at
};

// As verify(), but gives all that was found out.
std::expected<Analysis, Rejection> analyze(const Program& program, const VerifierLimits& limits = {});

// An instruction as the caller's disassembler writes it.
using InstructionPrinter = std::function<std::string(const Program& program, uint32_t pc)>;

// The program, one instruction a line, each with what is known of the registers it reads and what is proved
// of it; then the bounds.
std::string explain(const Program& program, const Analysis& analysis, const InstructionPrinter& print = {});

// The bounds alone, one a line.
std::string describe(const Bounds& bounds);

}  // namespace tiara::nic
