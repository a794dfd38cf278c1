// Can this compiler make a libFuzzer target of our code? Compiled while the build is configured, never run.
#include <cstddef>
#include <cstdint>
#include <expected>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t size) {
  const std::expected<size_t, int> made = size;
  return made ? 0 : -1;
}
