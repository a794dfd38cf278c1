// libFuzzer: any text as assembly. The assembler is total; what it accepts survives disassembling and assembling.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "nic/asm/assembler.h"
#include "nic/asm/disassembler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tiara::nic;
  const auto program = assemble(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.tiara");
  if (!program) return 0;
  const auto again = assemble(disassemble(*program), "again.tiara");
  if (!again || !(*again == *program)) std::abort();
  return 0;
}
