// In place of node_metrics.cc where prometheus-cpp was not found.
#include "apps/tiara/node_metrics.h"

namespace tiara::apps {

Result<std::unique_ptr<NodeMetrics>> NodeMetrics::serve(const std::string&, const ServedNode&) {
  return fail(ErrorCode::kUnsupported, "this build has no prometheus-cpp; run scripts/setup and build again");
}

}  // namespace tiara::apps
