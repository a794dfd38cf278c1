#include "apps/common/stats_report.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/base/config.h"

namespace tiara::apps {
namespace {

using stats::Counters;
using stats::ProcessStats;

std::string_view to_string(stats::ProcessState state) {
  switch (state) {
    case stats::ProcessState::kUnused: return "unused";
    case stats::ProcessState::kRunning: return "ran";
    case stats::ProcessState::kForkedChild: return "forked child";
    case stats::ProcessState::kExeced: return "replaced by exec";
    case stats::ProcessState::kFatal: return "stopped by the runtime";
  }
  return "unknown";
}

// Text that another process wrote: it may lack its end.
template <size_t N>
std::string text_of(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

uint64_t get(const Counters& counters, std::atomic<uint64_t> Counters::*member) {
  return (counters.*member).load(std::memory_order_relaxed);
}

stats::ProcessState state_of(const ProcessStats& process) {
  return static_cast<stats::ProcessState>(process.state.load(std::memory_order_acquire));
}

std::string grouped(uint64_t value) {  // 1,234,567
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string duration(uint64_t nanoseconds) {
  const double us = static_cast<double>(nanoseconds) / 1e3;
  if (us < 1000) return fmt::format("{:.1f} us", us);
  if (us < 1e6) return fmt::format("{:.1f} ms", us / 1e3);
  return fmt::format("{:.1f} s", us / 1e6);
}

std::string pages(uint64_t count) {
  return format_bytes(PageCount{count}.bytes());
}

std::string latency_line(const char* name, const Histogram& histogram) {
  if (histogram.count() == 0) return {};
  return fmt::format("  {:<8} p50 {}, p99 {}, p99.9 {} ({} of them)\n", name,
                     duration(histogram.quantile(0.5)), duration(histogram.quantile(0.99)),
                     duration(histogram.quantile(0.999)), grouped(histogram.count()));
}

uint64_t all_faults(const Counters& c) {
  return get(c, &Counters::faults_untouched) + get(c, &Counters::faults_remote) +
         get(c, &Counters::faults_staged) + get(c, &Counters::faults_waited) +
         get(c, &Counters::faults_write_protect) + get(c, &Counters::faults_spurious);
}

// Accuracy: of the pages fetched ahead, those that were used. Coverage: of the fetches that the program would have had
// to wait for, those that it did not.
std::string prefetch_text(const Counters& c) {
  const auto used = static_cast<double>(get(c, &Counters::prefetch_used));
  const auto wasted = static_cast<double>(get(c, &Counters::prefetch_wasted));
  const auto missed = static_cast<double>(get(c, &Counters::faults_remote));
  if (used + wasted == 0) return {};
  return fmt::format("; ahead: accuracy {:.0f}%, coverage {:.0f}%", 100 * used / (used + wasted),
                     100 * used / (used + missed));
}

// The lines that one process and the total share.
std::string figures(const Counters& c, const Histogram& fault, const Histogram& miss) {
  const auto n = [&](std::atomic<uint64_t> Counters::*member) { return grouped(get(c, member)); };
  std::string out;
  out += fmt::format(
      "  faults   {}: first touch {}, remote {}, staged {}, waited {}, write-protect {}, spurious "
      "{}\n",
      grouped(all_faults(c)), n(&Counters::faults_untouched), n(&Counters::faults_remote),
      n(&Counters::faults_staged), n(&Counters::faults_waited), n(&Counters::faults_write_protect),
      n(&Counters::faults_spurious));
  out += fmt::format("  fetched  {} pages, {}, in {} calls{}\n", n(&Counters::fetched_pages),
                     format_bytes(Bytes{get(c, &Counters::fetched_bytes)}),
                     n(&Counters::fetch_invocations), prefetch_text(c));
  out += fmt::format(
      "  evicted  {} pages: written back {} ({}), clean {}, zero {}, taken back from staging {}\n",
      grouped(get(c, &Counters::pages_staged) + get(c, &Counters::pages_stored_directly)),
      n(&Counters::pages_written),
      format_bytes(Bytes{get(c, &Counters::written_bytes)}), n(&Counters::clean_drops),
      n(&Counters::zero_pages), n(&Counters::staging_hits));
  out += latency_line("fault", fault);
  out += latency_line("miss", miss);
  out += fmt::format(
      "  memory   far {} at the peak, {} of it here at most (budget {}); near {}; metadata {}\n",
      pages(get(c, &Counters::far_pages_peak)), pages(get(c, &Counters::resident_pages_peak)),
      pages(get(c, &Counters::budget_pages)), format_bytes(Bytes{get(c, &Counters::near_bytes)}),
      format_bytes(Bytes{get(c, &Counters::metadata_bytes)}));
  return out;
}

nlohmann::json to_json(const ProcessStats& process) {
  nlohmann::json counters;
  for (const auto& statistic : all_statistics())
    counters[statistic.name] = get(process.counters, statistic.value);
  return {{"pid", process.pid.load(std::memory_order_relaxed)},
          {"state", to_string(state_of(process))},
          {"command", text_of(process.command)},
          {"mode", text_of(process.mode)},
          {"node", text_of(process.node)},
          {"note", text_of(process.note)},
          {"fatal", text_of(process.fatal)},
          {"counters", std::move(counters)},
          {"miss_latency", apps::to_json(process.miss_latency)},
          {"fault_latency", apps::to_json(process.fault_latency)}};
}

// A screen: more processes than this are in the JSON and in the total.
constexpr size_t kMaxProcessesInSummary = 4;

}  // namespace

const std::vector<Statistic>& all_statistics() {
  static const std::vector<Statistic> statistics = {
#define TIARA_ROW(name, unit, meaning) {#name, unit, meaning, &Counters::name, false},
      TIARA_COUNTERS(TIARA_ROW)
#undef TIARA_ROW
#define TIARA_ROW(name, unit, meaning) {#name, unit, meaning, &Counters::name, true},
          TIARA_GAUGES(TIARA_ROW)
#undef TIARA_ROW
  };
  return statistics;
}

Result<StatsFile> StatsFile::create() {
  StatsFile file;
  TIARA_TRY(file.file_, os::create_memfd("tiara-stats", Bytes{sizeof(stats::StatsPage)}));
  TIARA_TRY(file.mapping_, os::Mapping::shared(file.file_, Bytes{sizeof(stats::StatsPage)}));
  file.page().magic = stats::kStatsMagic;
  file.page().size = sizeof(stats::StatsPage);
  return file;
}

std::string StatsFile::path() const {
  return fmt::format("/proc/{}/fd/{}", getpid(), file_.get());
}

size_t StatsFile::shown_processes() const {
  return std::min<size_t>(page().processes_started.load(std::memory_order_acquire),
                          stats::kMaxProcesses);
}

uint64_t total_of(const StatsFile& file, const Statistic& statistic) {
  uint64_t total = 0;
  for (size_t i = 0; i < file.shown_processes(); ++i)
    total += get(file.page().processes[i].counters, statistic.value);
  return total;
}

void add_latencies(const StatsFile& file, Latencies& out) {
  for (size_t i = 0; i < file.shown_processes(); ++i) {
    out.miss.add(file.page().processes[i].miss_latency);
    out.fault.add(file.page().processes[i].fault_latency);
  }
}

nlohmann::json to_json(const Histogram& histogram) {
  nlohmann::json buckets = nlohmann::json::array();
  for (uint32_t bucket = 0; bucket < Histogram::kBuckets; ++bucket)
    if (const uint64_t count = histogram.bucket_count(bucket); count != 0)
      buckets.push_back({Histogram::upper_edge(bucket), count});
  return {{"count", histogram.count()},
          {"p50_ns", histogram.quantile(0.5)},
          {"p99_ns", histogram.quantile(0.99)},
          {"p999_ns", histogram.quantile(0.999)},
          {"buckets", std::move(buckets)}};
}

nlohmann::json to_json(const StatsFile& file) {
  nlohmann::json processes = nlohmann::json::array();
  for (size_t i = 0; i < file.shown_processes(); ++i)
    processes.push_back(to_json(file.page().processes[i]));
  nlohmann::json totals, units;
  for (const auto& statistic : all_statistics()) {
    totals[statistic.name] = total_of(file, statistic);
    units[statistic.name] = statistic.unit;
  }
  const auto latencies = std::make_unique<Latencies>();
  add_latencies(file, *latencies);
  totals["miss_latency"] = to_json(latencies->miss);
  totals["fault_latency"] = to_json(latencies->fault);
  return {{"processes", std::move(processes)},
          {"totals", std::move(totals)},
          {"units", std::move(units)},
          {"processes_started", file.page().processes_started.load(std::memory_order_relaxed)}};
}

std::string to_json_text(const StatsFile& file, const RunRecord& record) {
  nlohmann::json json = to_json(file);
  json["version"] = TIARA_VERSION;
  json["command"] = record.command;
  json["exit_status"] = record.exit_status;
  json["wall_seconds"] = record.wall_seconds;
  for (const auto& [name, value] : record.config)
    if (name != "TIARA_STATS") json["config"][name] = value;
  return json.dump(2);
}

std::string summary(const StatsFile& file, double wall_seconds) {
  const size_t shown = file.shown_processes();
  if (shown == 0)
    return fmt::format("tiara: {:.1f} s; the program stayed small: far memory was never started\n",
                       wall_seconds);
  std::string out;
  for (size_t i = 0; i < std::min(shown, kMaxProcessesInSummary); ++i) {
    const ProcessStats& process = file.page().processes[i];
    out += fmt::format("tiara: {} (pid {}), {} mode, node {}, {:.1f} s\n", text_of(process.command),
                       process.pid.load(std::memory_order_relaxed), text_of(process.mode),
                       text_of(process.node), wall_seconds);
    out += figures(process.counters, process.fault_latency, process.miss_latency);
    if (const auto note = text_of(process.note); !note.empty())
      out += fmt::format("  note     {}\n", note);
    if (const auto fatal = text_of(process.fatal); !fatal.empty())
      out += fmt::format("  stopped  {}\n", fatal);
  }
  if (shown == 1) return out;
  Counters total;
  for (const auto& statistic : all_statistics())
    (total.*statistic.value).store(total_of(file, statistic));
  const auto latencies = std::make_unique<Latencies>();
  add_latencies(file, *latencies);
  const uint64_t started = file.page().processes_started.load(std::memory_order_relaxed);
  out += fmt::format("tiara: all {} processes (peaks added up)", started);
  if (started > shown) out += fmt::format(", of which {} have no figures", started - shown);
  out += "\n" + figures(total, latencies->fault, latencies->miss);
  return out;
}

}  // namespace tiara::apps
