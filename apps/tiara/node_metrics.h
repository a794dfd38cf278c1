// A node's figures for Prometheus, over HTTP.
#pragma once

#include <memory>
#include <string>

#include "apps/common/node_report.h"
#include "runtime/base/error.h"

namespace tiara::apps {

class NodeMetrics {
 public:
  virtual ~NodeMetrics() = default;  // stops serving
  virtual std::string url() const = 0;
  // `address` is HOST:PORT (port 0: any that is free); `served` is borrowed. A build without prometheus-cpp refuses.
  static Result<std::unique_ptr<NodeMetrics>> serve(const std::string& address, const ServedNode& served);
};

}  // namespace tiara::apps
