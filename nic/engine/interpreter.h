// The golden model: the simplest engine, which every other engine must equal in outcome, memory, reply and counts.
#pragma once

#include "nic/engine/engine.h"

namespace tiara::nic {

// Stateless, so one serves all threads. A run's stack is below 2 KiB plus the program's scratchpad: it may run on a
// signal stack.
class Interpreter final : public Engine {
 public:
  Outcome run(const VerifiedProgram& program, const Invocation& invocation) noexcept override;
};

}  // namespace tiara::nic
