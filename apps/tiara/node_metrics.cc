#include "apps/tiara/node_metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <exception>

namespace tiara::apps {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric sample(MetricType type, double value, std::vector<ClientMetric::Label> labels) {
  ClientMetric made;
  made.label = std::move(labels);
  (type == MetricType::Counter ? made.counter.value : made.gauge.value) = value;
  return made;
}

MetricFamily family(const char* name, const char* help, MetricType type, double value) {
  return {name, help, type, {sample(type, value, {})}};
}

// Read anew for each scrape: nothing is kept that the node does not keep anyway.
class NodeFigures final : public prometheus::Collectable {
 public:
  explicit NodeFigures(const ServedNode& served) : served_(served) {}

  std::vector<MetricFamily> Collect() const override {
    const nic::NodeStats stats = served_.node.stats();
    const nic::ServerStats links = served_.server_stats();
    constexpr auto kGauge = MetricType::Gauge, kCounter = MetricType::Counter;
    const auto number = [](auto value) { return static_cast<double>(value); };
    std::vector<MetricFamily> all{
        family("tiara_memory_bytes", "memory for pages and tables", kGauge, number(stats.pool.total.bytes().value)),
        family("tiara_memory_used_bytes", "of it in use", kGauge, number(stats.pool.in_use.bytes().value)),
        family("tiara_address_spaces", "address spaces", kGauge, stats.spaces),
        family("tiara_sessions", "sessions that are open", kGauge, stats.sessions),
        family("tiara_sessions_away", "of them without a connection, lease running", kGauge, links.away),
        family("tiara_draining", "1 while the node is being drained", kGauge, served_.node.is_draining()),
        family("tiara_sessions_opened_total", "sessions opened", kCounter, number(stats.sessions_opened)),
        family("tiara_sessions_refused_total", "sessions refused", kCounter, number(stats.sessions_refused)),
        family("tiara_sessions_resumed_total", "sessions resumed", kCounter, number(links.resumed)),
        family("tiara_resumes_refused_total", "resumptions refused", kCounter, number(links.resumes_refused)),
        family("tiara_leases_expired_total", "leases that ran out", kCounter, number(links.expired)),
        family("tiara_invocations_total", "invocations", kCounter, number(stats.counts.invocations)),
        family("tiara_invocations_failed_total", "operators that gave up", kCounter, number(stats.counts.failed)),
        family("tiara_invocations_faulted_total", "operators that were stopped", kCounter,
               number(stats.counts.faulted)),
        family("tiara_invocations_refused_total", "invocations refused", kCounter, number(stats.counts.refused)),
        family("tiara_operator_seconds_total", "operator time", kCounter, number(stats.operator_time_ps) * 1e-12),
        family("tiara_malformed_total", "connections ended for bytes that are no frames", kCounter,
               number(links.malformed)),
        family("tiara_corrupted_total", "connections ended for bytes that do not match their hash", kCounter,
               number(links.corrupted)),
        family("tiara_insecure_total", "connections ended for a TLS handshake or record that was wrong", kCounter,
               number(links.insecure))};
    add_tenants(all);
    return all;
  }

 private:
  void add_tenants(std::vector<MetricFamily>& all) const {
    constexpr auto kGauge = MetricType::Gauge, kCounter = MetricType::Counter;
    MetricFamily used{"tiara_tenant_memory_used_bytes", "memory that the tenant has in use", kGauge, {}};
    MetricFamily quota{"tiara_tenant_memory_quota_bytes", "and may have; 0: no quota", kGauge, {}};
    MetricFamily sessions{"tiara_tenant_sessions", "its sessions", kGauge, {}};
    MetricFamily calls{"tiara_tenant_invocations_total", "its invocations", kCounter, {}};
    MetricFamily time{"tiara_tenant_operator_seconds_total", "its operator time", kCounter, {}};
    MetricFamily refused{"tiara_tenant_refused_total", "what it was refused, by reason", kCounter, {}};
    for (const auto& tenant : served_.node.tenants().all()) {
      const nic::TenantStats stats = served_.node.stats_of(*tenant);
      const ClientMetric::Label name{"tenant", tenant->config().name};
      const auto add = [&name](MetricFamily& to, double value) {
        to.metric.push_back(sample(to.type, value, {name}));
      };
      add(used, static_cast<double>(tenant->used().bytes().value));
      add(quota, static_cast<double>(tenant->limits().frames.bytes().value));
      add(sessions, tenant->sessions.load(std::memory_order_relaxed));
      add(calls, static_cast<double>(stats.invocations));
      add(time, static_cast<double>(stats.operator_time_ps) * 1e-12);
      for (size_t kind = 0; kind < nic::kRefusalKinds; kind++) {
        const auto reason = static_cast<nic::RefusalKind>(kind);
        refused.metric.push_back(sample(kCounter, static_cast<double>(tenant->refused(reason)),
                                        {name, {"reason", nic::to_string(reason)}}));
      }
    }
    for (MetricFamily* each : {&used, &quota, &sessions, &calls, &time, &refused}) all.push_back(std::move(*each));
  }

  const ServedNode& served_;
};

class Exposed final : public NodeMetrics {
 public:
  Exposed(const std::string& address, const ServedNode& served)
      : host_(address.substr(0, address.rfind(':'))),
        figures_(std::make_shared<NodeFigures>(served)),
        exposer_(address, 1) {
    exposer_.RegisterCollectable(figures_);
  }
  std::string url() const override {
    return "http://" + host_ + ":" + std::to_string(exposer_.GetListeningPorts().at(0)) + "/metrics";
  }

 private:
  const std::string host_;
  const std::shared_ptr<NodeFigures> figures_;
  prometheus::Exposer exposer_;
};

}  // namespace

Result<std::unique_ptr<NodeMetrics>> NodeMetrics::serve(const std::string& address, const ServedNode& served) {
  try {
    return std::make_unique<Exposed>(address, served);
  } catch (const std::exception& error) {
    return fail(ErrorCode::kSystem, address + ": " + error.what() + "; give a HOST:PORT that is free");
  }
}

}  // namespace tiara::apps
