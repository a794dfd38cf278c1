// The store of `loop:`: a memory node inside the process. After a fork the child has a node object of its own over the
// same pool, so that both share what they had (nic/node/pool_family.h).
#pragma once

#include "runtime/residency/store.h"

namespace tiara::residency {

Result<std::unique_ptr<StoreConnection>> make_embedded_store(const Config& config);

}  // namespace tiara::residency
