#include "runtime/residency/store.h"

namespace tiara::residency {

Result<std::unique_ptr<StoreConnection>> make_store(const Config& config) {
  return fail(ErrorCode::kUnsupported, "this build has no transport for node " + config.node);
}

}  // namespace tiara::residency
