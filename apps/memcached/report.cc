#include "apps/memcached/report.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/common/machine.h"
#include "apps/common/program.h"

namespace tiara::apps::memcached {
namespace {

double us(uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e3;
}

nlohmann::json latency_json(const LatencyHistogram& latency) {
  return {{"count", latency.count()},
          {"mean", latency.mean() / 1e3},
          {"p50", us(latency.quantile(0.5))},
          {"p99", us(latency.quantile(0.99))},
          {"p999", us(latency.quantile(0.999))},
          {"max", us(latency.max())}};
}

nlohmann::json outcome_json(const Outcome& outcome) {
  nlohmann::json json = {{"name", outcome.contestant.name()},
                         {"kind", to_string(outcome.contestant.kind)},
                         {"available", outcome.unavailable.empty()},
                         {"limit_bytes", outcome.limit.value}};
  if (outcome.contestant.kind != Kind::kLocal && !outcome.contestant.fixed_limit)
    json["local_share"] = outcome.contestant.share;
  if (!outcome.unavailable.empty()) {
    json["reason"] = outcome.unavailable;
    return json;
  }
  const auto& measured = outcome.measured;
  json.update({{"description", outcome.description},
               {"gets_per_second", measured.gets_per_second()},
               {"requests_per_second", measured.requests_per_second()},
               {"rounds_gets_per_second", outcome.rounds},
               {"get_latency_us", latency_json(measured.get_latency)},
               {"seconds", measured.seconds},
               {"fill_seconds", outcome.fill_seconds},
               {"gets", outcome.all.gets},
               {"hits", outcome.all.hits},
               {"misses", outcome.all.misses},
               {"sets", outcome.all.sets},
               {"refused_sets", outcome.all.refused},
               {"wrong_values", outcome.all.wrong_values},
               {"complaints", outcome.complaints},
               {"resident_after_fill_bytes", outcome.use_after_fill.resident.value},
               {"anonymous_after_fill_bytes", outcome.use_after_fill.anonymous_resident.value},
               {"swapped_after_fill_bytes", outcome.use_after_fill.swapped.value},
               {"anonymous_peak_bytes", outcome.peak_anonymous.value},
               {"server_cpu_seconds", outcome.server_cpu_seconds}});
  if (measured.counts.sets > 0) json["set_latency_us"] = latency_json(measured.set_latency);
  if (outcome.contestant.kind == Kind::kZram)
    json.update({{"attempts", outcome.attempts}, {"oom_kills", outcome.oom_kills}});
  if (!outcome.mode.empty())
    json.update(
        {{"mode", outcome.mode}, {"note", outcome.note}, {"runtime", outcome.runtime_counters}});
  return json;
}

// `a` over `b`, or null when there is no such thing.
nlohmann::json ratio(double a, double b) {
  return b > 0 ? nlohmann::json(a / b) : nlohmann::json();
}

nlohmann::json ratios_json(const Report& report, const Outcome& outcome) {
  const Outcome& local = report.outcomes.front();
  const Outcome* const zram = report.find(Kind::kZram, outcome.contestant.share);
  const double throughput = outcome.measured.gets_per_second();
  const auto p99 = static_cast<double>(outcome.measured.get_latency.quantile(0.99));
  return {{"contestant", outcome.contestant.name()},
          {"throughput_over_local", ratio(throughput, local.measured.gets_per_second())},
          {"throughput_over_zram",
           zram ? ratio(throughput, zram->measured.gets_per_second()) : nlohmann::json()},
          {"p99_over_local",
           ratio(p99, static_cast<double>(local.measured.get_latency.quantile(0.99)))},
          {"p99_over_zram",
           zram ? ratio(p99, static_cast<double>(zram->measured.get_latency.quantile(0.99)))
                : nlohmann::json()}};
}

bool is_tiara(const Outcome& outcome) {
  const Kind kind = outcome.contestant.kind;
  return kind == Kind::kTiara || kind == Kind::kTiaraNode || kind == Kind::kTiaraTcp;
}

}  // namespace

const Outcome* Report::find(Kind kind, double share) const {
  for (const auto& outcome : outcomes)
    if (outcome.contestant.kind == kind && outcome.contestant.share == share &&
        outcome.unavailable.empty())
      return &outcome;
  return nullptr;
}

uint64_t Report::wrong_values() const {
  uint64_t total = 0;
  for (const auto& outcome : outcomes) total += outcome.all.wrong_values;
  return total;
}

bool Report::has_failures() const {
  return std::any_of(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) {
    return outcome.all.wrong_values > 0 || outcome.all.misses > 0 || outcome.all.refused > 0 ||
           (!outcome.unavailable.empty() && !outcome.is_excused);
  });
}

std::string to_table(const Report& report) {
  const double local = report.outcomes.front().measured.gets_per_second();
  std::string out = fmt::format("{:<17} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>6}\n",
                                "contestant", "limit", "peak anon", "GET/s", "of local", "p50 us",
                                "p99 us", "p99.9", "misses", "wrong");
  for (const auto& outcome : report.outcomes) {
    if (!outcome.unavailable.empty()) {
      out += fmt::format("{:<17} {}: {}\n", outcome.contestant.name(),
                         outcome.is_excused ? "not available" : "FAILED", outcome.unavailable);
      continue;
    }
    const auto& latency = outcome.measured.get_latency;
    const double throughput = outcome.measured.gets_per_second();
    out += fmt::format(
        "{:<17} {:>10} {:>10} {:>9.0f} {:>8.0f}% {:>9.0f} {:>9.0f} {:>7.0f} {:>7} {:>6}\n",
        outcome.contestant.name(), outcome.limit.value == 0 ? "none" : format_bytes(outcome.limit),
        format_bytes(outcome.peak_anonymous), throughput, local > 0 ? 100 * throughput / local : 0,
        us(latency.quantile(0.5)), us(latency.quantile(0.99)), us(latency.quantile(0.999)),
        outcome.all.misses, outcome.all.wrong_values);
  }
  for (const auto& outcome : report.outcomes) {
    if (!outcome.note.empty())
      out += fmt::format("note: {}: {}\n", outcome.contestant.name(), outcome.note);
    if (outcome.oom_kills > 0)
      out += fmt::format("note: {}: OOM-killed {} times with swap still free\n",
                         outcome.contestant.name(), outcome.oom_kills);
    for (const auto& complaint : outcome.complaints)
      out += fmt::format("wrong: {}: {}\n", outcome.contestant.name(), complaint);
  }
  return out;
}

nlohmann::json to_json(const Report& report, const nlohmann::json& config) {
  nlohmann::json contestants = nlohmann::json::array();
  nlohmann::json all_ratios = nlohmann::json::array();
  nlohmann::json first_ratios = {{"throughput_over_local", nullptr},
                                 {"throughput_over_zram", nullptr},
                                 {"p99_over_zram", nullptr}};
  uint64_t misses = 0;
  for (const auto& outcome : report.outcomes) {
    contestants.push_back(outcome_json(outcome));
    misses += outcome.all.misses;
    if (!is_tiara(outcome) || !outcome.unavailable.empty()) continue;
    all_ratios.push_back(ratios_json(report, outcome));
    if (all_ratios.size() == 1) first_ratios = all_ratios.front();
  }
  return {{"benchmark", "memcached"},
          {"machine", describe_machine()},
          {"config", config},
          {"contestants", std::move(contestants)},
          {"wrong_values", report.wrong_values()},
          {"misses", misses},
          {"ratios", std::move(first_ratios)},
          {"all_ratios", std::move(all_ratios)}};
}

Result<void> plot(const Report& report, const std::string& svg_path) {
  const auto gnuplot = find_program("gnuplot");
  if (!gnuplot)
    return fail(ErrorCode::kNotFound, gnuplot.error().line + " (apt-get install gnuplot-nox)");
  std::string quoted;  // gnuplot doubles a quote inside single quotes
  for (const char character : svg_path) quoted.append(character == '\'' ? 2 : 1, character);
  std::string script = fmt::format(
      "set terminal svg size 900,420 font 'sans,12'\nset output '{}'\nset style data histograms\n"
      "set style fill solid 0.8\nset boxwidth 0.8\nset xtics rotate by -25\nunset key\nset grid "
      "ytics\n"
      "set multiplot layout 1,2\n$figures << EOD\n",
      quoted);
  for (const auto& outcome : report.outcomes)
    if (outcome.unavailable.empty())
      script += fmt::format("\"{}\" {} {}\n", outcome.contestant.name(),
                            outcome.measured.gets_per_second() / 1e3,
                            us(outcome.measured.get_latency.quantile(0.99)));
  script +=
      "EOD\nset title 'memcached GET throughput, thousands a second'\nset yrange [0:*]\n"
      "plot $figures using 2:xtic(1)\nset title 'GET latency p99, microseconds'\nset logscale "
      "y\nset yrange [*:*]\n"
      "plot $figures using 3:xtic(1)\nunset multiplot\n";
  char script_path[] = "/tmp/tiara-plot-XXXXXX";
  const UniqueFd file(mkstemp(script_path));
  if (!file.is_open()) return std::unexpected(system_error("mkstemp", script_path));
  std::ofstream(script_path) << script;
  auto child = Child::spawn(
      {.path = gnuplot->path, .arguments = {"gnuplot", script_path}, .death_signal = SIGKILL});
  std::optional<ChildExit> exit;
  if (child) exit = child->wait_for(std::chrono::seconds(30));
  unlink(script_path);
  if (!child) return std::unexpected(child.error());
  if (!exit || exit->shell_status() != 0)
    return fail(ErrorCode::kSystem, "gnuplot could not draw " + svg_path);
  return {};
}

}  // namespace tiara::apps::memcached
