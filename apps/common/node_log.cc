#include "apps/common/node_log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <chrono>

namespace tiara::apps {
namespace {

using nlohmann::ordered_json;

std::string time_text() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

}  // namespace

void NodeLog::event(std::string_view name, const ordered_json& fields) const {
  std::string line;
  if (format_ == Format::kJson) {
    ordered_json whole{{"time", time_text()}, {"event", name}};
    whole.update(fields);
    line = whole.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  } else {
    line = fmt::format("tiara: node: {}", name);
    for (const auto& [key, value] : fields.items())
      line += fmt::format(", {} {}", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  line += '\n';
  if (write(descriptor_, line.data(), line.size()) < 0) return;  // nobody reads the log: the node serves on
}

NodeWatch::NodeWatch(const ServedNode& served, const NodeLog& log) : served_(served), log_(log), seen_(now()) {}

NodeWatch::Seen NodeWatch::now() const {
  Seen seen{served_.node.stats().sessions_refused, served_.server_stats(), {}};
  for (const auto& tenant : served_.node.tenants().all()) {
    auto& counts = seen.refused.emplace_back();
    for (size_t kind = 0; kind < nic::kRefusalKinds; kind++)
      counts[kind] = tenant->refused(static_cast<nic::RefusalKind>(kind));
  }
  return seen;
}

void NodeWatch::look() {
  const Seen seen = now();
  const auto report = [this](const char* name, uint64_t before, uint64_t after) {
    if (after > before) log_.event(name, {{"count", after - before}});
  };
  report("session refused", seen_.sessions_refused, seen.sessions_refused);
  report("resume refused", seen_.links.resumes_refused, seen.links.resumes_refused);
  report("session resumed", seen_.links.resumed, seen.links.resumed);
  report("lease expired", seen_.links.expired, seen.links.expired);
  report("malformed frame", seen_.links.malformed, seen.links.malformed);
  report("corrupted frame", seen_.links.corrupted, seen.links.corrupted);
  report("insecure connection", seen_.links.insecure, seen.links.insecure);
  for (size_t tenant = 0; tenant < seen.refused.size(); tenant++)
    for (size_t kind = 0; kind < nic::kRefusalKinds; kind++)
      if (const uint64_t more = seen.refused[tenant][kind] - seen_.refused[tenant][kind]; more != 0)
        log_.event("refused", {{"tenant", served_.node.tenants().all()[tenant]->config().name},
                               {"reason", nic::to_string(static_cast<nic::RefusalKind>(kind))},
                               {"count", more}});
  seen_ = seen;
}

}  // namespace tiara::apps
