// Assembly text to program. docs/nic/isa.md describes the language.
#pragma once

#include <string_view>

#include "nic/isa/program.h"
#include "runtime/base/error.h"

namespace tiara::nic {

// Errors name the place: "FILE:LINE:COLUMN: expected a register, found '7'".
// The result is well formed; whether it is safe is the verifier's question.
Result<Program> assemble(std::string_view source, std::string_view file_name);

}  // namespace tiara::nic
