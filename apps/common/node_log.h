// What happens on a node, one line for each event on standard error: for people, or as JSON for machines.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/node_report.h"

namespace tiara::apps {

class NodeLog {
 public:
  enum class Format : uint8_t { kText, kJson };
  explicit NodeLog(Format format, int descriptor = 2) noexcept : format_(format), descriptor_(descriptor) {}

  // `fields` is an object. Any thread: a line is one write.
  //   tiara: node: refused, tenant red, reason memory, count 3
  //   {"time": "2026-01-31T12:00:00.123Z", "event": "refused", "tenant": "red", ...}
  void event(std::string_view name, const nlohmann::ordered_json& fields) const;

 private:
  const Format format_;
  const int descriptor_;
};

// Sees what a node refused, lost and gave up since the last look, and logs how often: whoever floods a node with what
// it refuses costs a line a second, and nothing is logged where requests are served.
class NodeWatch {
 public:
  // Both are borrowed.
  NodeWatch(const ServedNode& served, const NodeLog& log);
  void look();

 private:
  struct Seen {
    uint64_t sessions_refused = 0;
    nic::ServerStats links;
    std::vector<std::array<uint64_t, nic::kRefusalKinds>> refused;  // by tenant
  };
  Seen now() const;

  const ServedNode& served_;
  const NodeLog& log_;
  Seen seen_;
};

}  // namespace tiara::apps
