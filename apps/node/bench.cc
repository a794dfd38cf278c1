#include "apps/node/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/machine.h"
#include "apps/node/measure.h"
#include "apps/node/shares.h"

namespace tiara::apps::node {
namespace {

template <typename T>
T median(std::vector<T> values) {
  if (values.empty()) return T{};
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

nlohmann::json latency_json(const LatencyHistogram& latency) {
  const auto us = [&](double q) { return static_cast<double>(latency.quantile(q)) / 1e3; };
  return {{"p50_us", us(0.5)}, {"p99_us", us(0.99)}, {"p999_us", us(0.999)}, {"count", latency.count()}};
}

template <typename Ours, typename Theirs>
std::vector<double> by_round(const std::vector<Ours>& ours, const std::vector<Theirs>& theirs) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); i++)
    ratios.push_back(static_cast<double>(ours[i]) / static_cast<double>(theirs[i]));
  return ratios;
}

double min_over_max(uint64_t least, uint64_t most) {
  return most == 0 ? 0 : static_cast<double>(least) / static_cast<double>(most);
}

nlohmann::json to_json(const Options& options, const Link& link, const Load& load, const Crowd& crowd,
                       const Shares& shares) {
  const auto latency_ratios = by_round(link.miss_p50, link.echo_p50);
  const auto bandwidth_ratios = by_round(link.page_bytes, link.stream_bytes);
  const auto [least, most] = std::ranges::minmax(load.pages);
  const double idle = options.idle_clients == 0 ? 0
                                                : (static_cast<double>(crowd.bytes_with_idle) -
                                                   static_cast<double>(crowd.bytes_before)) /
                                                      options.idle_clients;
  uint64_t pages = 0;
  for (const uint64_t each : load.pages) pages += each;
  return {{"benchmark", "node"},
          {"machine", describe_machine()},
          {"config",
           {{"transport", "tcp on loopback, io_uring"},
            {"workers", options.workers},
            {"rounds", options.rounds},
            {"misses", options.misses},
            {"seconds", options.seconds},
            {"outstanding", options.outstanding},
            {"together", options.together},
            {"busy_clients", options.busy_clients},
            {"idle_clients", options.idle_clients},
            {"churn", options.churn},
            {"pages", options.pages},
            {"seed", options.seed},
            {"smoke", options.smoke}}},
          {"miss", latency_json(link.miss)},
          {"bare_echo", latency_json(link.echo)},
          {"page_bytes_per_second", median(link.page_bytes)},
          {"stream_bytes_per_second", median(link.stream_bytes)},
          {"load",
           {{"pages_per_second", static_cast<double>(pages) / load.seconds},
            {"by_client", load.pages},
            {"latency", latency_json(load.latency)}}},
          {"tenants",
           {{"clients", {1, shares.clients_of_many}}, {"calls", {shares.calls_of_one, shares.calls_of_many}}}},
          {"idle_client_bytes", idle},
          {"churn",
           {{"connects_per_second", crowd.connects_per_second},
            {"descriptors_before", crowd.descriptors_before},
            {"descriptors_after", crowd.descriptors_after},
            {"resident_before", crowd.bytes_before_churn},
            {"resident_after", crowd.bytes_after_churn}}},
          {"ratios",
           {{"tcp_miss_over_echo_p50", median(latency_ratios)},
            {"tcp_miss_over_echo_p50_rounds", latency_ratios},
            {"tcp_bandwidth_over_stream", median(bandwidth_ratios)},
            {"tcp_bandwidth_over_stream_rounds", bandwidth_ratios},
            {"fairness_min_over_max", min_over_max(least, most)},
            {"tenant_fairness_min_over_max", min_over_max(std::min(shares.calls_of_one, shares.calls_of_many),
                                                          std::max(shares.calls_of_one, shares.calls_of_many))}}},
          {"wrong", link.wrong + load.wrong + shares.wrong}};
}

int finish(const Options& options, const nlohmann::json& json) {
  const auto& ratios = json["ratios"];
  fmt::print("a miss {:.1f} us, a bare echo {:.1f} us: {:.2f}\n", json["miss"]["p50_us"].get<double>(),
             json["bare_echo"]["p50_us"].get<double>(), ratios["tcp_miss_over_echo_p50"].get<double>());
  fmt::print("{} page reads outstanding {:.0f} MB/s, a bare stream {:.0f} MB/s: {:.2f}\n", options.outstanding,
             json["page_bytes_per_second"].get<double>() / 1e6, json["stream_bytes_per_second"].get<double>() / 1e6,
             ratios["tcp_bandwidth_over_stream"].get<double>());
  fmt::print("{} clients at full load: {:.0f} pages/s, p99 {:.0f} us, least share over greatest {:.2f}\n",
             options.busy_clients, json["load"]["pages_per_second"].get<double>(),
             json["load"]["latency"]["p99_us"].get<double>(), ratios["fairness_min_over_max"].get<double>());
  fmt::print("a tenant with 1 client, one with {}, more calls than can be served: least share over greatest {:.2f}\n",
             json["tenants"]["clients"][1].get<uint32_t>(), ratios["tenant_fairness_min_over_max"].get<double>());
  fmt::print("an idle client costs the node {:.0f} bytes; {} clients came and went at {:.0f}/s, descriptors {} -> {}\n",
             json["idle_client_bytes"].get<double>(), options.churn,
             json["churn"]["connects_per_second"].get<double>(), json["churn"]["descriptors_before"].get<uint64_t>(),
             json["churn"]["descriptors_after"].get<uint64_t>());
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path);
    file << json.dump(2) << std::endl;
    if (!file)
      return complain(kExitOsError, system_error("write", options.json_path).message +
                                        "; name a file that can be written with --json");
  }
  if (json["wrong"].get<uint64_t>() != 0) return complain(kExitFailure, "pages were wrong");
  if (json["churn"]["descriptors_after"].get<uint64_t>() > json["churn"]["descriptors_before"].get<uint64_t>())
    return complain(kExitFailure, "the node keeps descriptors of clients that are gone");
  return kExitOk;
}

Result<nlohmann::json> measure(const Options& options) {
  // First of all: it forks, and nothing else may have threads by then.
  TIARA_TRY(const auto bare, BareServer::start(128, 128 + kPageSize + 8));
  TIARA_TRY(const auto node, NodeProcess::start(options));
  TIARA_TRY(const Crowd crowd, measure_crowd(options, *node));
  TIARA_TRY(const Link link, measure_link(options, *node, *bare));
  TIARA_TRY(const Load load, measure_load(options));
  TIARA_TRY(const Shares shares, measure_shares(options));
  return to_json(options, link, load, crowd, shares);
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app(
      "A memory node over tcp on loopback: against a bare io_uring echo and stream, and under many "
      "clients.");
  Options options;
  app.add_option("--workers", options.workers, "threads of the node (default 1)")->option_text("N");
  app.add_option("--rounds", options.rounds, "turns that the contestants take (default 7)")
      ->option_text("N")
      ->range(1, 1000);
  app.add_option("--misses", options.misses, "page reads, and echoes, of a round (default 5000)")->option_text("N");
  app.add_option("--seconds", options.seconds, "time of a stream in a round (default 0.5)")->option_text("S");
  app.add_option("--outstanding", options.outstanding, "page reads under way in the stream (default 32)")
      ->option_text("N")
      ->range(1, 48);
  app.add_option("--together", options.together,
                 "how many of them are asked for in one go, when that many have been answered (default 16; 1: each by "
                 "itself)")
      ->option_text("N")
      ->range(1, 48);
  app.add_option("--busy-clients", options.busy_clients, "clients at full load (default 8)")
      ->option_text("N")
      ->range(1, 128);
  app.add_option("--idle-clients", options.idle_clients,
                 "clients that only are there (default 1000)")
      ->option_text("N");
  app.add_option("--churn", options.churn, "clients that come and go (default 10000)")->option_text("N");
  app.add_option("--pages", options.pages, "pages of a client (default 1024)")
      ->option_text("N")
      ->range(1, 8192);
  app.add_option("--seed", options.seed, "seed of pages and order (default 1)")->option_text("N");
  app.add_option("--json", options.json_path, "write all figures to this file")->option_text("FILE");
  app.add_flag("--smoke", options.smoke, "a small run that shows that everything works; its figures mean nothing");
  if (const auto status = app.parse(argc, argv)) return *status;
  if (options.smoke) {
    options.rounds = 1;
    options.misses = std::min<uint64_t>(options.misses, 200);
    options.seconds = 0.05;
    options.idle_clients = std::min(options.idle_clients, 20u);
    options.churn = std::min(options.churn, 50u);
    options.pages = std::min<uint64_t>(options.pages, 64);
  }
  const auto json = measure(options);
  if (!json) return complain(json.error());
  return finish(options, *json);
}

}  // namespace tiara::apps::node
