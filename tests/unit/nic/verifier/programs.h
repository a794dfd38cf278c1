// Programs for the verifier's tests: assembled from text where assembly can say it, made by hand where it
// cannot.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "nic/asm/assembler.h"
#include "nic/verifier/analysis.h"
#include "nic/verifier/verified_program.h"

namespace tiara::nic::testing {

// Two arguments, a pool, a remote region, room for a page of reply and two lines of scratchpad.
inline constexpr const char* kHeader = R"(.operator t
.region pool rwa
.region peer rwa remote
.region table r
.arg n 0 100
.arg any 0 0xffff_ffff_ffff_ffff
.scratchpad 128
.results 4
.reply 4096
)";

inline Program program_of(const std::string& body) {
  auto program = assemble(kHeader + body, "t.tiara");
  if (!program) FAIL(program.error().message);
  return *program;
}

inline Analysis accepted(const Program& program) {
  auto analysis = analyze(program);
  if (!analysis) FAIL(to_string(analysis.error()));
  REQUIRE(verify(program).has_value());
  return *analysis;
}
inline Analysis accepted(const std::string& body) { return accepted(program_of(body)); }

inline Rejection rejected(const Program& program, const VerifierLimits& limits = {}) {
  const auto result = verify(program, limits);
  if (result) FAIL("accepted: " << explain(program, *analyze(program, limits)));
  return result.error();
}
inline Rejection rejected(const std::string& body) { return rejected(program_of(body)); }

}  // namespace tiara::nic::testing
