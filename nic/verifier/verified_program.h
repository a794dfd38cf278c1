// A program that the verifier accepted: the only kind an engine runs. Nobody but the verifier can make one.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>

#include "nic/isa/program.h"
#include "nic/verifier/bounds.h"
#include "nic/verifier/facts.h"
#include "nic/verifier/verifier_limits.h"
#include "nic/verifier/rejection.h"

namespace tiara::nic {

// Immutable; copies share it. May be read by many threads.
class VerifiedProgram {
 public:
  const Program& program() const { return content_->program; }
  const Bounds& bounds() const { return content_->bounds; }
  std::span<const InstructionFacts> facts() const { return content_->facts; }  // one for each instruction
  const InstructionFacts& facts(uint32_t pc) const { return content_->facts[pc]; }
  uint64_t worst_case_ps(const DeviceConstants& device) const;

 private:
  friend std::expected<VerifiedProgram, Rejection> verify(Program program, const VerifierLimits& limits);

  struct Content {
    Program program;
    Bounds bounds;
    std::vector<InstructionFacts> facts;
  };
  explicit VerifiedProgram(std::shared_ptr<const Content> content) : content_(std::move(content)) {}

  std::shared_ptr<const Content> content_;
};

// Accepts the program, or says which requirement does not hold, where, and why. Total: any Program may be
// given, well formed or not. Takes time about linear in the code, and never more than limits.max_work allows.
std::expected<VerifiedProgram, Rejection> verify(Program program, const VerifierLimits& limits = {});

}  // namespace tiara::nic
