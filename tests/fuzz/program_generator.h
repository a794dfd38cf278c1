// Random structured programs and random invocations of them, for fuzzers of the verifier and of the engines.
//
// One seed gives one sequence of programs. Programs use every instruction of the table, nested loops with
// early exits, forward branches with joins, and every kind of operand; addresses mostly fit the world of
// WorldShape, so that runs get somewhere before they fault.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nic/isa/program.h"
#include "tests/fuzz/choices.h"

namespace tiara::nic::fuzz {

enum class Style : uint8_t {
  // What a careful author writes: registers and scratchpad are written first, scratchpad offsets and lengths
  // are
  // masked where they are used, trip counts are small. A verifier that is not too strict accepts it.
  kCareful,
  // The same shapes with care left out here and there: a missing mask, a register that only one path writes,
  // values compared instead of masked, extreme constants. Some are accepted, and those are the interesting
  // ones.
  kCareless,
  // A careless program with one to four fields of its code changed at random: mostly rejected.
  kMutated,
};

// What the generated programs declare, in this order; a harness binds regions of these sizes.
inline constexpr uint8_t kPoolRegion = 0;   // rwa
inline constexpr uint8_t kTableRegion = 1;  // r
inline constexpr uint8_t kPeerRegion = 2;   // rwa, remote
inline constexpr uint64_t kPoolBytes = 8192;
inline constexpr uint64_t kTableBytes = 4096;
inline constexpr uint64_t kPeerBytes = 4096;  // of each host
inline constexpr uint64_t kHosts = 4;
inline constexpr uint64_t kReplyBytes = uint64_t{1} << 20;

struct Input {
  std::vector<uint64_t> arguments;  // inside the contract
  std::vector<std::byte> payload;   // 0 to 512 bytes
  uint64_t memory_seed;             // for filling regions: see fill_memory()
};

class ProgramGenerator {
 public:
  explicit ProgramGenerator(uint64_t seed) : random_(seed) {}
  explicit ProgramGenerator(std::span<const uint8_t> choices) : random_(choices) {}  // borrowed

  // Well formed, whatever the style.
  Program program(Style style);
  Input input(const Program& program);

 private:
  Choices random_;
};

// Words that make programs behave: small numbers, offsets, zeros, and sometimes anything.
void fill_memory(uint64_t seed, std::span<std::byte> memory);

}  // namespace tiara::nic::fuzz
