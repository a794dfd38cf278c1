// Watches a run on the interpreter and compares everything that happens with what the verifier proved.
#pragma once

#include <string>
#include <vector>

#include "nic/engine/interpret.h"
#include "nic/verifier/analysis.h"
#include "nic/verifier/flow.h"

namespace tiara::nic::fuzz {

class Monitor {
 public:
  Monitor(const Program& program, const Analysis& analysis, const Machine& machine);

  // Before each instruction.
  void operator()(uint32_t pc, const Registers& registers) noexcept;
  // After the run.
  void finish(const Outcome& outcome);

  // What contradicted the analysis first; empty when nothing did.
  const std::string& contradiction() const { return contradiction_; }

 private:
  void say(uint32_t pc, const std::string& what);
  void check_edge(uint32_t pc);
  void check_state(uint32_t pc, const Registers& registers);
  void check_access(uint32_t pc, const Registers& registers);
  void check_scratchpad(uint32_t pc, const Registers& registers);
  void note_effects(uint32_t pc, const Registers& registers);

  const Program& program_;
  const Analysis& analysis_;
  const Machine& machine_;
  const Flow flow_;
  std::string contradiction_;
  uint16_t defined_;
  ByteSet written_;
  uint32_t last_pc_ = UINT32_MAX;
  uint64_t in_flight_ = 0;
  uint64_t most_in_flight_ = 0;
  uint64_t instruction_ps_ = 0;
};

}  // namespace tiara::nic::fuzz
