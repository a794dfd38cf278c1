#include "apps/policy/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/machine.h"
#include "apps/common/progress.h"
#include "apps/policy/simulate.h"
#include "apps/policy/traces.h"

namespace tiara::apps::policy {
namespace {

struct Contestant {
  EvictionPolicy policy;
  Way way;
  bool heat;
  const char* name;
};
// First by MOVE with its staging, then by copying straight to the node, as the runtime does by default with loop:.
constexpr Contestant kPolicies[] = {{EvictionPolicy::kFifo, Way::kMove, false, "fifo"},
                                    {EvictionPolicy::kClock, Way::kMove, false, "clock"},
                                    {EvictionPolicy::kS3Fifo, Way::kMove, false, "s3fifo"},
                                    {EvictionPolicy::kFifo, Way::kCopy, false, "copy_fifo"},
                                    {EvictionPolicy::kClock, Way::kCopy, false, "copy_clock"},
                                    {EvictionPolicy::kClock, Way::kCopy, true, "copy_heat"},
                                    {EvictionPolicy::kS3Fifo, Way::kCopy, false, "copy_s3fifo"},
                                    {EvictionPolicy::kS3Fifo, Way::kCopy, true, "s3fifo_heat"}};

struct Options {
  std::vector<std::string> names{"memcached", "sort", "sqlite", "scan", "mix"};
  std::vector<std::string> files;
  double local = 25;             // per cent of the trace's pages
  uint32_t cluster = 0;          // 0: as the runtime has them
  double staging = 12.5;         // per cent of the local memory
  std::string json_path;
  bool smoke = false;
};

struct Judged {
  Trace trace;
  uint32_t memory_pages = 0;
  uint64_t used_pages = 0;
  Misses lru{}, belady{};
  Misses runtime[std::size(kPolicies)]{};
};

uint32_t cluster_of(Way way, const Options& options) {
  if (options.cluster != 0) return options.cluster;
  return way == Way::kCopy ? 64 : 16;
}

uint64_t digest(const Trace& trace) {
  uint64_t sum = 0xcbf29ce484222325;  // FNV-1a over whole words: equal traces have equal digests
  for (const uint64_t page : trace.pages) sum = (sum ^ page) * 0x100000001b3;
  return sum;
}

Judged judge(Trace trace, const Options& options) {
  Judged judged{.trace = std::move(trace)};
  const References references = renumber(judged.trace.pages);
  // Numbers that fill up a group are not pages of the program.
  std::vector<bool> used(references.page_count, false);
  for (const uint32_t page : references.pages) used[page] = true;
  judged.used_pages = static_cast<uint64_t>(std::count(used.begin(), used.end(), true));
  judged.memory_pages = std::max(static_cast<uint32_t>(static_cast<double>(judged.used_pages) * options.local / 100),
                                 2 * cluster_of(Way::kCopy, options));
  judged.lru = simulate_lru(references, judged.memory_pages);
  judged.belady = simulate_belady(references, judged.memory_pages);
  for (size_t i = 0; i < std::size(kPolicies); ++i) {
    const Way way = kPolicies[i].way;
    const Memory memory{judged.memory_pages, cluster_of(way, options), options.staging / 100, way, kPolicies[i].heat};
    judged.runtime[i] = simulate_runtime(references, memory, kPolicies[i].policy);
  }
  return judged;
}

std::string percent(double ratio) { return fmt::format("{:.2f} %", 100 * ratio); }

void print(const std::vector<Judged>& all, const Options& options) {
  fmt::print("miss ratio: fetches a reference, without first uses; local memory {:.3g} % of the pages, clusters of {} "
             "and by copying {}, staging {:.3g} % of it\n\n", options.local, cluster_of(Way::kMove, options),
             cluster_of(Way::kCopy, options), options.staging);
  fmt::print("{:<12} {:>11} {:>8} {:>9} {:>9}", "trace", "references", "pages", "Belady", "LRU");
  for (const Contestant& each : kPolicies) fmt::print(" {:>11}", each.name);
  fmt::print("\n");
  for (const Judged& each : all) {
    fmt::print("{:<12} {:>11} {:>8} {:>9} {:>9}", each.trace.name, each.lru.references, each.used_pages,
               percent(each.belady.miss_ratio()), percent(each.lru.miss_ratio()));
    for (const Misses& misses : each.runtime) fmt::print(" {:>11}", percent(misses.miss_ratio()));
    fmt::print("\n");
  }
  fmt::print("\ncopy_: straight to the node, not by way of staging; copy_heat: by clock, hot pages "
             "kept a while (--heat on); s3fifo_heat: by copying too\n");
}

nlohmann::json to_json(const Misses& misses) {
  return {{"fetches", misses.fetches}, {"first_uses", misses.first_uses}, {"taken_back", misses.taken_back},
          {"miss_ratio", misses.miss_ratio()}};
}

double over(const Misses& a, const Misses& b) {
  if (b.fetches == 0) return a.fetches == 0 ? 1.0 : 1e9;
  return static_cast<double>(a.fetches) / static_cast<double>(b.fetches);
}

nlohmann::json to_json(const std::vector<Judged>& all, const Options& options) {
  nlohmann::json json;
  json["benchmark"] = "policy";
  json["machine"] = describe_machine();
  json["options"] = {{"local_percent", options.local}, {"cluster_pages_move", cluster_of(Way::kMove, options)},
                     {"cluster_pages_copy", cluster_of(Way::kCopy, options)},
                     {"staging_percent", options.staging}, {"smoke", options.smoke}};
  for (const Judged& each : all) {
    nlohmann::json& row = json["traces"][each.trace.name];
    row = {{"origin", each.trace.origin},      {"references", each.lru.references}, {"pages", each.used_pages},
           {"memory_pages", each.memory_pages}, {"records_lost", each.trace.records_lost},
           {"digest", fmt::format("{:016x}", digest(each.trace))}, {"lru", to_json(each.lru)},
           {"belady", to_json(each.belady)}};
    for (size_t i = 0; i < std::size(kPolicies); ++i) {
      row[kPolicies[i].name] = to_json(each.runtime[i]);
      json["ratios"][fmt::format("{}_{}_over_lru", each.trace.name, kPolicies[i].name)] =
          over(each.runtime[i], each.lru);
      const size_t fifo = kPolicies[i].way == Way::kMove ? 0 : 3;
      if (i != fifo)
        json["ratios"][fmt::format("{}_{}_over_fifo", each.trace.name, kPolicies[i].name)] =
            over(each.runtime[i], each.runtime[fifo]);
    }
  }
  return json;
}

int run(const Options& options) {
  std::ofstream json_file;
  if (!options.json_path.empty()) {
    json_file.open(options.json_path);
    if (!json_file)
      return complain(kExitUsage,
                      system_error("--json", options.json_path).message + "; name a file that can be written");
  }
  std::vector<Judged> all;
  Progress progress;
  const auto add = [&](Result<Trace> trace) {
    if (!trace) return false;
    progress.begin(fmt::format("{}: {} references through every policy", trace->name, trace->pages.size()));
    all.push_back(judge(std::move(*trace), options));
    return true;
  };
  for (const std::string& path : options.files) {
    auto trace = load_trace(path);
    if (!trace) return complain(trace.error());
    add(std::move(trace));
  }
  for (const std::string& name : options.names) {
    auto trace = make_trace(name, options.smoke ? Size::kSmoke : Size::kFull,
                            [&](std::string what) { progress.begin(std::move(what)); });
    if (!trace && trace.error().code == ErrorCode::kInvalidInput) return complain(trace.error());
    if (!trace) {
      progress.clear();
      fmt::print(stderr, "tiara bench policy: {} is left out: {}\n", name, trace.error().message);
      continue;
    }
    add(std::move(trace));
  }
  progress.clear();
  if (all.empty()) return complain(kExitUnavailable, "no trace could be had; name files with --trace");
  print(all, options);
  for (const Judged& each : all)
    if (each.trace.records_lost > 0)
      fmt::print("{}: {} records did not fit into the trace\n", each.trace.name, each.trace.records_lost);
  if (json_file.is_open()) {
    json_file << to_json(all, options).dump(2) << std::endl;
    if (!json_file) return complain(kExitOsError, system_error("write", options.json_path).message);
  }
  return 0;
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app(
      "What each eviction policy would have fetched on recorded page references, beside LRU and "
      "Belady's optimum. Programs are recorded with next to no local memory, then every policy runs "
      "on the same references.");
  Options options;
  app.add_option("--traces", options.names,
                 "which traces to make or record (default memcached,sort,sqlite,scan,mix), or none")
      ->option_text("NAMES")
      ->comma_separated();
  app.add_option("--trace", options.files, "also a file of tiara run --trace")
      ->option_text("FILE")
      ->repeatable();
  app.add_option("--local", options.local,
                 "local memory, in per cent of the pages that are used (default 25)")
      ->option_text("N")
      ->real_range(0.1, 100);
  app.add_option("--cluster", options.cluster,
                 "pages evicted together, a power of two up to 64 (default 16, by copying 64, as the runtime has them)")
      ->option_text("PAGES")
      ->range(1, 64);
  app.add_option("--staging", options.staging,
                 "staging, in per cent of the local memory (default 12.5)")
      ->option_text("N")
      ->real_range(0, 50);
  app.add_option("--json", options.json_path, "write all figures to this file")
      ->option_text("FILE");
  app.add_flag("--smoke", options.smoke,
               "small traces: shows that it works, its figures mean nothing");
  if (const auto status = app.parse(argc, argv)) return *status;
  if (options.cluster != 0 && !std::has_single_bit(options.cluster))
    return complain(kExitUsage, fmt::format("--cluster {}: use 1, 2, 4, 8, 16, 32 or 64", options.cluster));
  if (options.names == std::vector<std::string>{"none"}) options.names.clear();
  return run(options);
}

}  // namespace tiara::apps::policy
