// `--near RULES`: what stays in local memory although far memory is on.
//
//   RULES  := RULE { "," RULE }
//   RULE   := "size<" SIZE        heap blocks smaller than SIZE
//           | "size>=" SIZE       heap blocks of at least SIZE
//           | "calloc>=" SIZE     zeroed heap blocks of at least SIZE: hash tables are made that way
//           | "mmap>=" SIZE       anonymous mappings of at least SIZE
//           | "caller=" NAME      whatever code of the shared object NAME asks for; "libssl.so" finds libssl.so.3
//   SIZE   := as in config.h ("64K", "1M")
//
// A block is near when any rule says so. A rule of the same kind given twice: the wider one counts.
// Always near without a rule: small blocks for the C library, the loader, libgomp, libaio, liburing and the libraries
// of RDMA, which hand them to the kernel (or a device) behind our back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"

namespace tiara::placement {

struct Rules {
  size_t near_below = 0;              // size<
  size_t near_from = SIZE_MAX;        // size>=
  size_t near_calloc_from = SIZE_MAX; // calloc>=
  size_t near_mmap_from = SIZE_MAX;   // mmap>=
  std::vector<std::string> near_callers;

  static Result<Rules> parse(std::string_view text);
};

// Code that issues system calls which no wrapper sees; its blocks are near up to kNearForSystemCode.
inline constexpr std::string_view kSystemCode[] = {
    "libc.so", "ld-linux", "libgomp.so", "libaio.so", "liburing.so",
    // What makes RDMA connections, and the drivers of soft-RoCE, siw and the usual cards: devices write into their
    // blocks, and the link thread may not wait for a page.
    "librdmacm.so", "libibverbs.so", "libnl-", "librxe-", "libsiw-", "libmlx4", "libmlx5", "libbnxt_re-", "libirdma-"};

// Larger blocks of the C library are work space (qsort, getdelim), not something it gives to the kernel.
inline constexpr size_t kNearForSystemCode = 256 * 1024;

}  // namespace tiara::placement
