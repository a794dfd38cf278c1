// What is checked before a program runs its first instruction: the contract between caller, program and node.
#pragma once

#include "nic/engine/engine.h"
#include "nic/isa/program.h"

namespace tiara::nic {

// kNone when the invocation keeps the program's contract: argument count and ranges, payload size, and every local
// region bound with at least the permission that the program declares.
Refusal check_contract(const Program& program, const Invocation& invocation) noexcept;

// The Outcome of an invocation that did not run.
Outcome refused(Refusal refusal) noexcept;

}  // namespace tiara::nic
