// The parts of hash.h that are compiled for some CPUs only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tiara {

// Only on a CPU with AVX2.
uint64_t hash_with_avx2(const void* bytes, size_t size) noexcept;

}  // namespace tiara
