// libFuzzer: any bytes as a program container, once as they are and once with the right hash put behind them (which no
// fuzzer would find). The decoder is total, and what it accepts writes itself back to the same bytes; disassembler and
// verifier are total on what it accepts.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "nic/asm/disassembler.h"
#include "nic/isa/program.h"
#include "nic/verifier/verified_program.h"
#include "runtime/base/hash.h"

namespace {

using namespace tiara::nic;

void decode(std::span<const std::byte> container) {
  auto program = deserialize(container);
  if (!program) return;
  if (!std::ranges::equal(serialize(*program), container)) std::abort();
  if (disassemble(*program).empty()) std::abort();
  static_cast<void>(verify(std::move(*program)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  decode(bytes);
  std::vector<std::byte> hashed(bytes.begin(), bytes.end());
  const uint64_t hash = tiara::hash_bytes(bytes);
  const auto hash_bytes = std::as_bytes(std::span(&hash, 1));
  hashed.insert(hashed.end(), hash_bytes.begin(), hash_bytes.end());
  decode(hashed);
  return 0;
}
