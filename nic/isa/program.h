// A program and its container: what a compiler writes, a file holds, a client sends and a verifier reads.
//
// Container, little-endian, no padding:
//   magic "TIARA\0\0\1" (8)  version u32  results u8  scratchpad u16  max_steps u64  max_reply_bytes u64
//   name: length u8, bytes
//   regions: count u8, each: permission u8, attributes u8, name (length u8, bytes); the index is the region number
//   arguments: count u8, each: min u64, max u64, known_zero u64, name (length u8, bytes)
//   code: count u16, words u64
//   content hash u64: XXH3 of everything before it
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nic/isa/instruction.h"
#include "nic/isa/permission.h"
#include "runtime/base/error.h"

namespace tiara::nic {

inline constexpr uint32_t kMaxProgramArguments = 8;   // r0 to r7
inline constexpr uint32_t kMaxNameBytes = 63;
// No invocation brings more: the verifier bounds `plen` and scatter by it, and the dispatcher refuses what is larger.
inline constexpr uint64_t kMaxProgramPayloadBytes = uint64_t{1} << 20;
// The largest container: full code, 16 regions and 8 arguments with the longest names, below 64 KiB.
inline constexpr size_t kMaxContainerBytes = 64 * 1024;

struct RegionDeclaration {
  std::string name;
  Permission permission = Permission::kNone;
  bool is_cacheable = false;  // a hint: the NIC may keep lines of it on chip
  bool is_remote = false;     // lives on other nodes: only the remote instructions may name it
  friend bool operator==(const RegionDeclaration&, const RegionDeclaration&) = default;
};

// What the dispatcher guarantees about one argument before the program starts. Values are unsigned.
struct ArgumentContract {
  std::string name;
  uint64_t min = 0;
  uint64_t max = UINT64_MAX;
  uint64_t known_zero = 0;  // bits that must be 0: an alignment of N is N - 1
  constexpr bool admits(uint64_t value) const { return value >= min && value <= max && (value & known_zero) == 0; }
  friend bool operator==(const ArgumentContract&, const ArgumentContract&) = default;
};

// Limits that the author promises; the verifier proves them or rejects. UINT64_MAX: no promise on steps.
struct DeclaredBounds {
  uint64_t max_steps = UINT64_MAX;
  uint64_t max_reply_bytes = 0;
  friend bool operator==(const DeclaredBounds&, const DeclaredBounds&) = default;
};

struct Program {
  std::string name;
  uint32_t version = 1;
  std::vector<RegionDeclaration> regions;    // index = region number
  std::vector<ArgumentContract> arguments;   // index = register at the start
  uint8_t results = 0;                       // most results that a RET of this program gives
  uint16_t scratchpad_bytes = 0;
  DeclaredBounds declared;
  std::vector<Instruction> code;

  friend bool operator==(const Program&, const Program&) = default;
};

// Checks what the container checks: limits, names ([A-Za-z_][A-Za-z0-9_]*, unique), encodable instructions.
// A Program made by hand must pass before it is serialised or verified.
Result<void> check_well_formed(const Program& program);

// The container's bytes. The program must be well formed (a bug otherwise).
std::vector<std::byte> serialize(const Program& program);

// Total: never reads outside `container`, refuses trailing bytes, and a success is well formed.
Result<Program> deserialize(std::span<const std::byte> container);

// Identity of a program: XXH3 of its container without the trailing hash.
uint64_t content_hash(const Program& program);

}  // namespace tiara::nic
