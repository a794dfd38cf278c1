// Why a program was not accepted: a value for programs to act on, and words for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tiara::nic {

// What must hold of an accepted program. X(Name, "what was found instead")
#define TIARA_REQUIREMENTS(X)                                                     \
  /* of its form */                                                               \
  X(WellFormed, "malformed program")                                              \
  X(EveryPathEnds, "execution can fall off the end")                              \
  X(LoopClosed, "loop and endloop do not match")                                  \
  X(LoopDepth, "loops are nested too deeply")                                     \
  X(BranchInside, "branch to where no instruction is")                            \
  X(BranchNotIntoLoop, "branch into the body of a loop that is not running")      \
  X(BranchPops, "branch pops the wrong number of loop frames")                    \
  /* of one instruction, in every state that can reach it */                      \
  X(RegisterDefined, "read of a register that may not have been written")         \
  X(RegionDeclared, "use of a region that the program does not declare")          \
  X(RegionPermission, "use of a region beyond its declared permission")           \
  X(RegionLocal, "local access to a remote region")                               \
  X(RegionRemote, "remote access to a local region")                              \
  X(ScratchpadInside, "access that may leave the scratchpad")                     \
  X(ScratchpadDefined, "read of scratchpad bytes that may not have been written") \
  X(ResultsDeclared, "more results than the program declares")                    \
  /* of the whole */                                                              \
  X(StepBound, "too many steps")                                                  \
  X(ReplyBound, "more reply bytes than the program declares")                     \
  X(ByteBound, "too many bytes moved")                                            \
  X(RemoteBound, "too many remote operations")                                    \
  X(InFlightBound, "too many bulk operations in flight")                          \
  X(AnalysisBudget, "too complex to verify within the budget")

enum class Requirement : uint8_t {
#define TIARA_REQUIREMENT(name, text) k##name,
  TIARA_REQUIREMENTS(TIARA_REQUIREMENT)
#undef TIARA_REQUIREMENT
};

std::string_view to_string(Requirement requirement);  // "RegisterDefined"
std::string_view violation(Requirement requirement);  // "read of a register that may not have been written"

struct Rejection {
  Requirement requirement = Requirement::kWellFormed;
  uint32_t instruction = 0;  // index into the code; 0 where the whole program is meant
  std::string detail;        // names the operands: "r4 is written on no path to here"
  std::string state;  // what is known of the operands here: "r4 = [0, 511] (from memory)"; may be empty
  std::string cure;   // how to rewrite it
};

// One line: "instruction 12 (spld8): access that may leave the scratchpad: DETAIL; STATE; CURE".
std::string to_string(const Rejection& rejection, std::string_view instruction_text = {});

}  // namespace tiara::nic
