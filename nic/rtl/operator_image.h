// What the host writes to load an operator into the NIC: the words of nic/rtl/tiara_operators.sv, and the tag by which
// the NIC knows that whoever holds the key has verified it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "nic/verifier/verified_program.h"

namespace tiara::nic::rtl {

using LoadKey = std::array<uint64_t, 2>;

inline constexpr uint32_t kStoreBlock = 32;  // words of a program store that belong to one operator at a time

struct OperatorImage {
  std::vector<uint64_t> words;
  uint64_t tag = 0;
};

// `block` is where the code begins, in blocks.
OperatorImage make_image(const VerifiedProgram& verified, uint32_t number, uint32_t block, const LoadKey& key);

// SipHash-2-4 (Aumasson and Bernstein, 2012) of whole words.
uint64_t siphash(const LoadKey& key, std::span<const uint64_t> words);

}  // namespace tiara::nic::rtl
