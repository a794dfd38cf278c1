#include "apps/fault/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "apps/common/child.h"
#include "apps/common/machine.h"
#include "apps/common/program.h"
#include "apps/fault/pattern.h"

namespace tiara::apps::fault {
namespace {

const nlohmann::json* find(const Report& report, Kind kind, uint32_t percent, std::string_view pattern,
                           uint32_t threads) {
  for (const Outcome& outcome : report.outcomes) {
    if (outcome.contestant.kind != kind || (kind != Kind::kFloor && outcome.contestant.percent != percent)) continue;
    for (const auto& cell : outcome.cells)
      if (cell.value("pattern", "") == pattern && cell.value("threads", 0u) == threads) return &cell;
  }
  return nullptr;
}

nlohmann::json ratio(const nlohmann::json* over, const nlohmann::json* under, const char* pointer) {
  if (over == nullptr || under == nullptr) return nullptr;
  const nlohmann::json::json_pointer at(pointer);
  const double divisor = under->at(at).get<double>();
  if (divisor <= 0) return nullptr;
  return over->at(at).get<double>() / divisor;
}

double us(const nlohmann::json& cell, const char* quantile) {
  return cell.at("miss").at(quantile).get<double>() / 1000;
}

std::string name_of(const Contestant& contestant) {
  if (contestant.kind == Kind::kFloor) return "floor";
  return fmt::format("{} {}%", to_string(contestant.kind), contestant.percent);
}

}  // namespace

uint64_t Report::wrong_words() const {
  uint64_t wrong = 0;
  for (const Outcome& outcome : outcomes) wrong += outcome.wrong_words;
  return wrong;
}

bool Report::has_failures() const {
  for (const Outcome& outcome : outcomes)
    if (!outcome.unavailable.empty() && !outcome.is_excused) return true;
  return false;
}

nlohmann::json ratios(const Report& report) {
  const auto tiara = [&](const char* pattern, uint32_t threads) {
    return find(report, Kind::kTiara, 25, pattern, threads);
  };
  const auto zram = [&](const char* pattern) { return find(report, Kind::kZram, 25, pattern, 1); };
  constexpr const char* kRate = "/accesses_per_second";
  return {
      {"miss_over_floor_p50",
       ratio(tiara("random_read", 1), find(report, Kind::kFloor, 0, "floor_copy", 1), "/miss/p50_ns")},
      {"random_read_25_vs_zram", ratio(tiara("random_read", 1), zram("random_read"), kRate)},
      {"random_rmw_25_vs_zram", ratio(tiara("random_rmw", 1), zram("random_rmw"), kRate)},
      {"sequential_read_25_vs_zram", ratio(tiara("sequential_read", 1), zram("sequential_read"), kRate)},
      {"sequential_read_25_vs_batched_move",
       ratio(tiara("sequential_read", 1), find(report, Kind::kFloor, 0, "floor_move", 1), kRate)},
      {"random_read_25_vs_floor_cycle",
       ratio(tiara("random_read", 1), find(report, Kind::kFloor, 0, "floor_cycle", 1), kRate)},
      {"floor_cycle_vs_zram", ratio(find(report, Kind::kFloor, 0, "floor_cycle", 1), zram("random_read"), kRate)},
      {"random_read_25_miss_p99_vs_zram", ratio(tiara("random_read", 1), zram("random_read"), "/miss/p99_ns")},
      {"two_threads_over_one", ratio(tiara("random_read", 2), tiara("random_read", 1), kRate)},
  };
}

nlohmann::json to_json(const Report& report) {
  nlohmann::json contestants = nlohmann::json::array();
  for (const Outcome& outcome : report.outcomes) {
    nlohmann::json entry = {{"name", to_string(outcome.contestant.kind)},
                            {"description", outcome.description},
                            {"oom_kills", outcome.oom_kills},
                            {"wrong_words", outcome.wrong_words},
                            {"result_hash", fmt::format("{:016x}", outcome.result_hash)},
                            {"cells", outcome.cells}};
    if (outcome.contestant.kind != Kind::kFloor) {
      entry["local_percent"] = outcome.contestant.percent;
      entry["limit_bytes"] = outcome.limit.value;
    }
    if (!outcome.unavailable.empty()) {
      entry["unavailable"] = outcome.unavailable;
      entry["is_excused"] = outcome.is_excused;
    }
    contestants.push_back(std::move(entry));
  }
  return {{"benchmark", "fault"},
          {"machine", describe_machine()},
          {"config", report.config},
          {"contestants", std::move(contestants)},
          {"wrong_words", report.wrong_words()},
          {"ratios", ratios(report)}};
}

std::string to_table(const Report& report) {
  std::string out = fmt::format("{:<10} {:<17} {:>3} {:>12} {:>9} {:>9} {:>9} {:>10} {:>10} {:>8}\n", "contestant",
                                "pattern", "thr", "accesses/s", "p50 us", "p99 us", "p99.9 us", "faults/s",
                                "evicted/s", "cpu s");
  for (const Outcome& outcome : report.outcomes) {
    const std::string name = name_of(outcome.contestant);
    for (const auto& cell : outcome.cells)
      out += fmt::format("{:<10} {:<17} {:>3} {:>12.0f} {:>9.2f} {:>9.1f} {:>9.1f} {:>10.0f} {:>10.0f} {:>8.2f}\n",
                         name, cell.at("pattern").get<std::string>(), cell.at("threads").get<uint32_t>(),
                         cell.at("accesses_per_second").get<double>(), us(cell, "p50_ns"), us(cell, "p99_ns"),
                         us(cell, "p999_ns"), cell.value("faults_per_second", 0.0),
                         cell.value("evictions_per_second", 0.0),
                         cell.value("cpu_user_seconds", 0.0) + cell.value("cpu_system_seconds", 0.0));
    if (!outcome.unavailable.empty())
      out += fmt::format("{:<10} {}: {}\n", name, outcome.is_excused ? "not available" : "FAILED",
                         outcome.unavailable);
    if (outcome.oom_kills > 0)
      out += fmt::format("note: {}: OOM-killed {} times with swap still free\n", name, outcome.oom_kills);
  }
  const nlohmann::json all = ratios(report);  // named: a temporary would not outlive the loop's head
  for (const auto& [name, value] : all.items())
    out += value.is_null() ? fmt::format("{:<36} not measured\n", name)
                           : fmt::format("{:<36} {:.2f}\n", name, value.get<double>());
  out += fmt::format("wrong words: {}\n", report.wrong_words());
  return out;
}

Result<void> plot(const Report& report, const std::string& svg_path) {
  const auto gnuplot = find_program("gnuplot");
  if (!gnuplot) return fail(ErrorCode::kNotFound, gnuplot.error().line + " (apt-get install gnuplot-nox)");
  std::string quoted;  // gnuplot doubles a quote inside single quotes
  for (const char character : svg_path) quoted.append(character == '\'' ? 2 : 1, character);
  std::string script = fmt::format(
      "set terminal svg size 1000,760 font 'sans,12' background 'white'\nset output '{}'\nset style data linespoints\n"
      "set grid ytics\nset logscale y\nset xlabel 'local share, percent'\nset xtics (10,25,50,75)\nset xrange [5:80]\n"
      "set key below\nset multiplot layout 2,2\n",
      quoted);
  constexpr std::string_view kPlotted[] = {"random_read", "random_rmw", "sequential_read"};
  std::vector<Kind> kinds;
  for (const Kind kind : {Kind::kTiara, Kind::kZram, Kind::kLoop}) {
    bool has_any = false;
    for (const std::string_view pattern : kPlotted) {
      std::string block;
      for (const uint32_t percent : {10u, 25u, 50u, 75u})
        if (const auto* cell = find(report, kind, percent, pattern, 1))
          block += fmt::format("{} {} {}\n", percent, cell->at("accesses_per_second").get<double>() / 1e3,
                               us(*cell, "p99_ns"));
      has_any |= !block.empty();
      // A block with no figures draws nothing, and says nothing either.
      script += fmt::format("${}_{} << EOD\n{}EOD\n", to_string(kind), pattern, block.empty() ? "25 NaN NaN\n" : block);
    }
    if (has_any) kinds.push_back(kind);
  }
  if (kinds.empty()) return fail(ErrorCode::kInvalidInput, "nothing was measured that could be drawn");
  const auto panel = [&](std::string_view pattern, const char* title, int column) {
    script += fmt::format("set title '{}'\nplot ", title);
    for (size_t i = 0; i < kinds.size(); ++i)
      script += fmt::format("{}${}_{} using 1:{} title '{}' lw 2 pt 7", i == 0 ? "" : ", ", to_string(kinds[i]),
                            pattern, column, to_string(kinds[i]));
    script += "\n";
  };
  panel("random_read", "random read, thousand accesses a second", 2);
  panel("random_rmw", "random read-modify-write, thousand accesses a second", 2);
  panel("sequential_read", "sequential read, thousand pages a second", 2);
  panel("random_read", "random read, p99 of a miss, microseconds", 3);
  script += "unset multiplot\n";
  char script_path[] = "/tmp/tiara-plot-XXXXXX";
  const UniqueFd file(mkstemp(script_path));
  if (!file.is_open()) return std::unexpected(system_error("mkstemp", script_path));
  std::ofstream(script_path) << script;
  auto child = Child::spawn({.path = gnuplot->path, .arguments = {"gnuplot", script_path}, .death_signal = SIGKILL});
  std::optional<ChildExit> exit;
  if (child) exit = child->wait_for(std::chrono::seconds(30));
  unlink(script_path);
  if (!child) return std::unexpected(child.error());
  if (!exit || exit->shell_status() != 0) return fail(ErrorCode::kSystem, "gnuplot could not draw " + svg_path);
  return {};
}

}  // namespace tiara::apps::fault
