// libFuzzer: bytes as the choices of the program generator. What the verifier accepts must run alike on interpreter and
// JIT. The first two bytes pick the style, and the seed of the world that the program runs in.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "nic/asm/disassembler.h"
#include "tests/fuzz/comparison.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tiara::nic;
  constexpr uint64_t kInputs = 4;
  if (size < 2) return 0;
  fuzz::ProgramGenerator generator(std::span(data, size).subspan(2));
  fuzz::Choices world(data[1]);
  const auto verified = verify(generator.program(fuzz::Style{static_cast<uint8_t>(data[0] % 3)}));
  if (!verified) return 0;
  fuzz::RunTally tally;
  const std::string differs = fuzz::compare_engines(*verified, generator, world, kInputs, tally);
  if (differs.empty()) return 0;
  std::fprintf(stderr, "%s\n%s", differs.c_str(), disassemble(verified->program()).c_str());
  std::abort();
}
