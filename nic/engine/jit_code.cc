#include "nic/engine/jit_code.h"

#include <sys/mman.h>

#include <asmjit/x86.h>

#include "nic/engine/jit_compiler.h"

namespace tiara::nic {
namespace {

// The first error of the assembler: an instruction that cannot be encoded is our bug, memory is not.
class FirstError : public asmjit::ErrorHandler {
 public:
  void handleError(asmjit::Error error, const char* message, asmjit::BaseEmitter*) override {
    if (error_ != asmjit::kErrorOk) return;
    error_ = error;
    message_ = message;
  }
  asmjit::Error error() const { return error_; }
  const std::string& message() const { return message_; }

 private:
  asmjit::Error error_ = asmjit::kErrorOk;
  std::string message_;
};

Result<void> check_cpu() {
  const auto& features = asmjit::CpuInfo::host().features().x86();
  if (features.hasPOPCNT() && features.hasLZCNT() && features.hasBMI() && features.hasBMI2()) return {};
  return fail(ErrorCode::kUnsupported, "this CPU lacks POPCNT, LZCNT, BMI1 or BMI2; programs are interpreted");
}

std::unexpected<Error> failed(const std::string& what) {
  return fail(ErrorCode::kResourceExhausted, "the compiler of programs: " + what + "; this one is interpreted");
}

// Writes the code, then takes the right to write away: never both.
Result<os::Mapping> install(asmjit::CodeHolder& code) {
  if (code.flatten() != asmjit::kErrorOk || code.resolveUnresolvedLinks() != asmjit::kErrorOk)
    return failed("the code cannot be laid out");
  TIARA_TRY(os::Mapping mapping, os::Mapping::anonymous(Bytes{round_up(code.codeSize(), kPageSize)}));
  if (code.relocateToBase(reinterpret_cast<uint64_t>(mapping.data())) != asmjit::kErrorOk ||
      code.copyFlattenedData(mapping.data(), mapping.size()) != asmjit::kErrorOk)
    return failed("the code cannot be relocated");
  if (const int error = os::raw_mprotect(mapping.data(), mapping.size(), PROT_READ | PROT_EXEC); error < 0)
    return std::unexpected(system_error("mprotect", "PROT_EXEC of compiled programs", -error));
  return mapping;
}

}  // namespace

Result<JitCode> compile(const VerifiedProgram& program, Checks checks) {
  TIARA_TRY_VOID(check_cpu());
  asmjit::CodeHolder code;
  FirstError first_error;
  if (code.init(asmjit::Environment::host()) != asmjit::kErrorOk) return failed("no code holder");
  code.setErrorHandler(&first_error);

  JitCode made{.program = program, .mapping = {}};
  jit::Compiler compiler(made.program, checks, code);
  compiler.compile();
  if (first_error.error() != asmjit::kErrorOk) return failed(first_error.message());
  TIARA_TRY(made.mapping, install(code));
  made.entry = reinterpret_cast<JitEntry>(made.mapping.data());
  made.argument_count = static_cast<uint32_t>(program.program().arguments.size());
  made.scratchpad_bytes = program.program().scratchpad_bytes;
  made.needs_machine = compiler.needs_machine();
  made.code_bytes = code.codeSize();
  return made;
}

}  // namespace tiara::nic
