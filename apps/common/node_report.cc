#include "apps/common/node_report.h"

#include <unistd.h>

#include "pagetable/checker.h"

namespace tiara::apps {

using nlohmann::json;

nic::ServerStats ServedNode::server_stats() const {
  nic::ServerStats sum;
  for (const auto& server : servers) {
    const nic::ServerStats more = server->stats();
    sum.away += more.away;
    sum.resumed += more.resumed;
    sum.expired += more.expired;
    sum.resumes_refused += more.resumes_refused;
    sum.malformed += more.malformed;
    sum.corrupted += more.corrupted;
    sum.stragglers += more.stragglers;
    sum.insecure += more.insecure;
  }
  return sum;
}

json status_of(const ServedNode& served) {
  const nic::NodeStats stats = served.node.stats();
  const nic::ServerStats links = served.server_stats();
  json urls = json::array();
  for (const auto& server : served.servers) urls.push_back(server->url());
  return {{"serves", urls},
          {"process", getpid()},
          {"is_draining", served.node.is_draining()},
          {"memory_bytes", stats.pool.total.bytes().value},
          {"used_bytes", stats.pool.in_use.bytes().value},
          {"address_spaces", stats.spaces},
          {"sessions", stats.sessions},
          {"sessions_away", links.away},
          {"sessions_opened", stats.sessions_opened},
          {"sessions_refused", stats.sessions_refused},
          {"sessions_resumed", links.resumed},
          {"resumes_refused", links.resumes_refused},
          {"leases_expired", links.expired},
          {"invocations", stats.counts.invocations},
          {"failed", stats.counts.failed},
          {"faulted", stats.counts.faulted},
          {"refused", stats.counts.refused},
          {"operator_time_us", stats.operator_time_ps / 1'000'000},
          {"malformed", links.malformed},
          {"corrupted", links.corrupted},
          {"insecure", links.insecure}};
}

json tenants_of(const ServedNode& served) {
  json list = json::array();
  for (const auto& tenant : served.node.tenants().all()) {
    const nic::TenantStats stats = served.node.stats_of(*tenant);
    json refused;
    for (size_t kind = 0; kind < nic::kRefusalKinds; kind++)
      refused[nic::to_string(static_cast<nic::RefusalKind>(kind))] =
          tenant->refused(static_cast<nic::RefusalKind>(kind));
    list.push_back({{"name", tenant->config().name},
                    {"sessions", tenant->sessions.load(std::memory_order_relaxed)},
                    {"address_spaces", tenant->spaces.load(std::memory_order_relaxed)},
                    {"used_bytes", tenant->used().bytes().value},
                    {"quota_bytes", tenant->limits().frames.bytes().value},
                    {"invocations", stats.invocations},
                    {"operator_time_us", stats.operator_time_ps / 1'000'000},
                    {"time_percent", tenant->config().time_percent},
                    {"weight", tenant->config().weight},
                    {"refused", refused}});
  }
  return {{"tenants", list}};
}

json check(const ServedNode& served) {
  json result;
  served.node.while_quiet([&result](const nic::Pool& pool) {
    const pagetable::CheckReport report = pagetable::check_pool(pool.bytes());
    json defects = json::array();
    for (const pagetable::Defect& defect : report.defects) defects.push_back(pagetable::describe(defect));
    result = {{"is_sound", report.is_sound()},
              {"defect_count", report.defect_count},
              {"defects", defects},
              {"address_spaces", report.live_spaces},
              {"pages", report.pages},
              {"tables", report.tables},
              {"free_frames", report.free_frames},
              {"never_used_frames", report.never_used}};
  });
  return result;
}

}  // namespace tiara::apps
