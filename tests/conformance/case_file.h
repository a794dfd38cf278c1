// The conformance corpus: what each instruction does, as data that every engine is held against.
//
// A `.data` file is a list of cases:
//
//   == faa returns the old value              a name, which begins the case
//   region m 64 rwa = u64 5 zero 56           a region: name, bytes, permission [remote] [= content, then zeros]
//   payload u64 1 2                           the request's payload (none when absent)
//   args 3 4                                  arguments: a0, a1 ... in r0, r1 ...
//   reply 64                                  room for the reply (4096 when absent)
//   no-remote-port                            the engine has no way to other nodes
//   unverified                                the verifier rejects it: only the model, which runs anything, does
//   code                                      assembly until the next `expect`; .region and .arg come from above
//     faa r0, m[8], r1
//     ret 1
//   expect ok 0 | failed 7 | fault region-bounds at 3 | refused argument-range | rejected
//                                             results from r0 on, those not listed are 0
//   expect m @8 u64 9                         bytes that changed; all others must be as they were
//   expect reply u64 1 2                      the whole reply (empty when absent)
//   expect counts loads=1 atomics=1           those that are named; steps too
//
// Content is a list of: u8|u16|u32|u64 followed by numbers, `zero N`, `seq N` (bytes 0, 1, 2 ...). `;` comments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nic/isa/outcome.h"
#include "nic/isa/program.h"
#include "runtime/base/error.h"

namespace tiara::conformance {

using Bytes = std::vector<std::byte>;

struct CaseRegion {
  std::string name;
  std::string permission;  // letters of r, w, a
  bool is_remote = false;  // lives on host kRemoteHost only
  Bytes content;
  Bytes expected;
};

inline constexpr uint64_t kRemoteHost = 7;

struct Case {
  std::string file;
  uint32_t line = 0;
  std::string name;
  std::vector<CaseRegion> regions;
  std::vector<uint64_t> arguments;
  Bytes payload;
  uint64_t reply_room = 4096;
  bool has_remote_port = true;
  bool is_verifiable = true;
  std::string code;

  bool is_rejected = false;  // the verifier (or the assembler) must refuse it
  nic::Status status = nic::Status::kOk;
  uint16_t reason = 0;
  std::optional<uint32_t> pc;
  std::array<uint64_t, nic::kResultRegisters> results{};
  Bytes reply;
  std::map<std::string, uint64_t> counts;

  // The whole program: declarations made from the case, then its code.
  Result<nic::Program> program() const;
};

Result<std::vector<Case>> read_cases(const std::string& path);

}  // namespace tiara::conformance
