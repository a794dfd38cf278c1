// A verified program as x86-64 code.
#pragma once

#include <cstdint>

#include "nic/engine/engine.h"
#include "nic/engine/memory.h"
#include "nic/verifier/verified_program.h"
#include "runtime/base/error.h"
#include "runtime/os/memory.h"

namespace tiara::nic {

// Which checks the code may leave out; the other variant is for tests.
enum class Checks : uint8_t {
  kKeepAll,
  kElideProved,  // what the verifier proved, given the sizes of the regions that are bound
};

// Checks the contract (all but the number of arguments), runs, and fills `outcome`, which must be default-made;
// the counts and reply bytes of `machine` are the caller's to add. `machine` and `scratchpad` may be null when the
// program uses neither (JitCode says so).
using JitEntry = void (*)(Outcome* outcome, const Region* regions, const uint64_t* arguments, Machine* machine,
                          std::byte* scratchpad);

struct JitCode {
  VerifiedProgram program;  // kept alive: the code points at its instructions
  os::Mapping mapping;      // read and execute, never write
  JitEntry entry = nullptr;
  uint32_t argument_count = 0;
  uint32_t scratchpad_bytes = 0;
  bool needs_machine = false;
  size_t code_bytes = 0;
};

// kUnsupported when this CPU lacks an instruction that the code needs.
Result<JitCode> compile(const VerifiedProgram& program, Checks checks);

}  // namespace tiara::nic
