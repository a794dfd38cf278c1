// One verified program on the interpreter and on both variants of the JIT: do they end alike?
#pragma once

#include <cstdint>
#include <string>

#include "nic/verifier/verified_program.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/program_generator.h"

namespace tiara::nic::fuzz {

struct RunTally {
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t ended[4] = {};  // by Status
};

// Runs `inputs` inputs of the generator; registers, memory here and on other nodes, reply, fault, place and counts are
// compared. The first difference; empty when there is none. `choices` decides what of the world is bent. Exits with 77
// where the JIT cannot run.
std::string compare_engines(const VerifiedProgram& program, ProgramGenerator& generator, Choices& choices,
                            uint64_t inputs, RunTally& tally);

}  // namespace tiara::nic::fuzz
