// Runs of every operator that comes with the project, on data of its own kind: what a model of the engine is held to.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "nic/engine/region.h"
#include "nic/engine/remote_port.h"
#include "nic/isa/outcome.h"
#include "nic/verifier/verified_program.h"

namespace tiara::nic::rtl {

struct OperatorRun {
  std::string_view name;
  const VerifiedProgram& program;
  const RegionTable& regions;
  std::span<const uint64_t> arguments;
  std::span<const std::byte> payload;
  RemotePort* remote;
};

// Calls `run` for each, in order; it has to run it, since later ones build on what earlier ones did. The same runs
// every time. False when one did not end with Status::kOk; `run` has said so.
bool run_all_operators(const std::function<Outcome(const OperatorRun&)>& run);

// The names of all operators: nic/operators, those for peers, and the page table's.
std::vector<std::string_view> all_operator_names();

}  // namespace tiara::nic::rtl
