#include "nic/engine/interpreter.h"

#include "nic/engine/dispatch.h"
#include "nic/engine/interpret.h"
#include "nic/verifier/verified_program.h"

namespace tiara::nic {
namespace {

Outcome run_with(const VerifiedProgram& verified, const Invocation& invocation,
                 std::span<std::byte> scratchpad) noexcept {
  Machine machine{.regions = invocation.regions,
                  .payload = invocation.payload,
                  .reply = invocation.reply,
                  .remote = invocation.remote,
                  .scratchpad = scratchpad};
  return interpret(verified.program().code, machine, invocation.arguments, verified.bounds().steps, NoObserver{});
}

// Not inlined: only a program that declares a scratchpad pays for its stack. The verifier has proved that no byte
// is read before it is written, so it is not cleared.
template <size_t kBytes>
[[gnu::noinline]] Outcome run_with_scratchpad(const VerifiedProgram& verified, const Invocation& invocation) noexcept {
  alignas(kLineBytes) std::byte scratchpad[kBytes];
  return run_with(verified, invocation, {scratchpad, verified.program().scratchpad_bytes});
}

}  // namespace

Outcome Interpreter::run(const VerifiedProgram& verified, const Invocation& invocation) noexcept {
  const Program& program = verified.program();
  if (const Refusal refusal = check_contract(program, invocation); refusal != Refusal::kNone) return refused(refusal);
  if (program.scratchpad_bytes == 0) return run_with(verified, invocation, {});
  if (program.scratchpad_bytes <= 512) return run_with_scratchpad<512>(verified, invocation);
  return run_with_scratchpad<kMaxScratchpadBytes>(verified, invocation);
}

}  // namespace tiara::nic
