// An engine runs one verified program for one invocation. The interpreter is the golden model; the JIT and the
// RTL stand behind the same interface and must give the same Outcome, memory and reply for the same input.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nic/engine/region.h"
#include "nic/isa/outcome.h"
#include "runtime/base/error.h"

namespace tiara::nic {

class RemotePort;       // nic/engine/remote_port.h
class VerifiedProgram;  // nic/verifier/verified_program.h; only the verifier makes one

// Everything a program sees. All memory is borrowed for the length of the call.
struct Invocation {
  const RegionTable& regions;
  std::span<const uint64_t> arguments;   // checked against the program's contract by the engine before it runs
  std::span<const std::byte> payload;    // read by scatter; may change under us when it lies in shared memory
  std::span<std::byte> reply;            // room for gathered bytes; never more than the proved bound is used
  RemotePort* remote = nullptr;          // none: every remote operation faults with kRemoteUnavailable
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Makes later runs of `program` fast: a compiler compiles here. Thread-safe; may allocate and lock. An error means
  // that runs will be slower, not that they will fail.
  virtual Result<void> prepare(const VerifiedProgram& program) {
    static_cast<void>(program);
    return {};
  }
  // Thread-safe; does not allocate, lock or throw. Never touches memory outside the bound regions, the payload
  // and the reply, whatever the program: the run-time checks stand even where the verifier has proved them.
  virtual Outcome run(const VerifiedProgram& program, const Invocation& invocation) noexcept = 0;
};

}  // namespace tiara::nic
