#include "nic/rtl/operator_image.h"

#include <algorithm>
#include <bit>

namespace tiara::nic::rtl {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
};

}  // namespace

uint64_t siphash(const LoadKey& key, std::span<const uint64_t> words) {
  SipState state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                 key[1] ^ 0x7465646279746573};
  for (const uint64_t word : words) state.absorb(word);
  state.absorb(static_cast<uint64_t>(words.size()) * 8 << 56);
  state.v2 ^= 0xff;
  state.rounds(4);
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

OperatorImage make_image(const VerifiedProgram& verified, uint32_t number, uint32_t block, const LoadKey& key) {
  const Program& program = verified.program();
  const uint64_t steps = std::min<uint64_t>(verified.bounds().steps, UINT32_MAX);
  std::vector<uint64_t> words{number, steps << 32 | UINT32_MAX,
                              uint64_t{program.scratchpad_bytes} << 32 | uint64_t{program.arguments.size()} << 24 |
                                  uint64_t{block} << 16 | program.code.size()};
  for (const ArgumentContract& each : program.arguments)
    words.insert(words.end(), {each.min, each.max, each.known_zero});
  for (const Instruction& each : program.code) words.push_back(encode(each));
  const uint64_t tag = siphash(key, words);
  words.erase(words.begin());  // the number goes with the begin
  return {std::move(words), tag};
}

}  // namespace tiara::nic::rtl
