// Content hashes of pages (XXH3, 64 bit). The hash spares write-backs, detects corruption on fetch, and
// recognises pages that need no frame at all. Not a defence against an adversary who forges content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/units.h"

namespace tiara {

using ContentHash = uint64_t;

// Hash of any bytes. Never 0: zero means "no content recorded".
ContentHash hash_bytes(std::span<const std::byte> bytes) noexcept;

// Hash of one page of kPageSize bytes at `page`.
ContentHash hash_page(const void* page) noexcept;

// The hash of a page of zeros, so that recognising one costs a compare.
ContentHash zero_page_hash() noexcept;

}  // namespace tiara
