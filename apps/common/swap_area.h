// What swap devices of benchmarks share.
#pragma once

#include <string>

#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::apps {

// Writes the first page of a swap area on `device`, as mkswap(8) does.
Result<void> write_swap_header(const std::string& device, Bytes size);

}  // namespace tiara::apps
