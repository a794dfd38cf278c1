#include "apps/policy/traces.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "apps/common/child.h"
#include "apps/common/program.h"
#include "apps/common/random.h"
#include "apps/common/runtime_library.h"
#include "apps/memcached/contestant.h"
#include "apps/memcached/load.h"
#include "apps/memcached/workload.h"
#include "runtime/base/config.h"
#include "runtime/os/memory.h"
#include "runtime/residency/page_trace.h"

namespace tiara::apps::policy {
namespace {

using residency::PageTrace;
using Watch = std::function<void(std::string)>;

constexpr uint64_t kSeed = 20260713;
constexpr uint64_t kCapacity = 64'000'000;  // records: 256 MB of address space of a sparse file
constexpr double kZipfExponent = 0.99;
// Little enough that most uses of a page are recorded, enough that recording ends within a minute or two.
constexpr Bytes kLeastLocal{3 * kMiB};
constexpr std::chrono::minutes kProgramLimit{5};

class Folder {
 public:
  static Result<Folder> create() {
    std::string path = (std::filesystem::temp_directory_path() / "tiara-policy-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) return std::unexpected(system_error("mkdtemp", path));
    return Folder(path);
  }
  Folder(Folder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  std::string file(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

 private:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Config recording_config(const std::string& path) {
  Config config;
  config.local.bytes = kLeastLocal;
  config.readahead = false;   // only what the program asked for
  config.evict_cluster = 4;   // the floor of the budget is four clusters: of 64 pages each, it would hide most uses
  config.children = Children::kNear;
  config.trace_path = path;
  return config;
}

Result<Trace> finish(std::string_view name, std::string origin, const std::string& path) {
  TIARA_TRY(const uint64_t lost, PageTrace::finish_file(path));
  TIARA_TRY(Trace trace, load_trace(path));
  if (trace.pages.empty())
    return fail(ErrorCode::kUnavailable, fmt::format("{} used no far memory: nothing was recorded", name));
  trace.name = name;
  trace.origin = std::move(origin);
  trace.records_lost = lost;
  return trace;
}

Result<Trace> record_program(std::string_view name, std::vector<std::string> command, const Folder& folder) {
  const auto program = find_program(command[0]);
  if (!program) return fail(ErrorCode::kNotFound, program.error().line);
  TIARA_TRY(const std::string library, find_runtime_library());
  const std::string path = folder.file("trace");
  TIARA_TRY_VOID(PageTrace::make_file(path, kCapacity));
  TIARA_TRY(const UniqueFd output, os::create_memfd("tiara-policy-output", Bytes{0}));
  TIARA_TRY(Child child, Child::spawn({.path = program->path,
                                       .arguments = command,
                                       .environment = runtime_environment(recording_config(path), library),
                                       .standard_output = output.get(),
                                       .death_signal = SIGKILL}));
  const auto exit = child.wait_for(kProgramLimit);
  if (!exit || exit->shell_status() != 0)
    return fail(ErrorCode::kUnavailable,
                fmt::format("{} {}", command[0], exit ? exit->describe() : "took longer than five minutes"));
  std::string text;
  for (const std::string& word : command) text += (text.empty() ? "" : " ") + word.substr(word.rfind('/') + 1);
  return finish(name, text, path);
}

Result<Trace> record_sort(Size size, const Watch& watch) {
  TIARA_TRY(const Folder folder, Folder::create());
  const uint64_t lines = size == Size::kSmoke ? 20'000 : 100'000;
  watch(fmt::format("sort: writing {} lines", lines));
  Random random(kSeed);
  std::ofstream input(folder.file("lines"));
  for (uint64_t i = 0; i < lines; ++i) input << fmt::format("{:016x}{:016x}\n", random.next(), random.next());
  input.close();
  if (!input) return std::unexpected(system_error("write", folder.file("lines")));
  watch("sort: recording");
  return record_program("sort", {"sort", "--parallel=1", "-S", "1G", "-o", folder.file("sorted"), folder.file("lines")},
                        folder);
}

Result<Trace> record_sqlite(Size size, const Watch& watch) {
  TIARA_TRY(const Folder folder, Folder::create());
  const uint64_t rows = size == Size::kSmoke ? 5'000 : 40'000;
  std::ofstream script(folder.file("script"));
  script << "create table t(k integer primary key, v integer, s text);\n"
         << fmt::format("with recursive c(n) as (select 1 union all select n+1 from c where n<{}) "
                        "insert into t select n, (n*7919)%{}, printf('%064d', n) from c;\n", rows, rows)
         << "create index i on t(v);\n"
         << fmt::format("with recursive c(n) as (select 1 union all select n+1 from c where n<{}) "
                        "select sum(length(t.s)) from c join t on t.v=(c.n*104729)%{};\n", rows, rows)
         << "select v%1000, count(*), max(s) from t group by 1 order by 2 limit 3;\n";
  script.close();
  if (!script) return std::unexpected(system_error("write", folder.file("script")));
  watch("sqlite: recording");
  return record_program("sqlite", {"sqlite3", ":memory:", ".read " + folder.file("script")}, folder);
}

Result<Trace> record_memcached(Size size, const Watch& watch) {
  TIARA_TRY(const Folder folder, Folder::create());
  const std::string path = folder.file("trace");
  TIARA_TRY_VOID(PageTrace::make_file(path, kCapacity));
  // memcached gives up root (-u nobody); the file is opened before that.
  memcached::ServerOptions options;
  options.workload.keys = size == Size::kSmoke ? 4'000 : 60'000;
  options.workload.distribution = memcached::Distribution::kZipf;
  options.workload.seed = kSeed;
  options.config = recording_config(path);
  memcached::Contestant contestant{.kind = memcached::Kind::kTiara, .fixed_limit = kLeastLocal};
  TIARA_TRY(auto server, memcached::Server::start(contestant, options, kLeastLocal));
  TIARA_TRY(auto driver, memcached::LoadDriver::connect(options.workload, server->port()));
  const auto go_on = [](double) { return true; };
  watch("memcached: filling");
  TIARA_TRY(const memcached::LoadResult filled, driver->fill(go_on));
  watch("memcached: recording Zipf GETs");
  const std::chrono::seconds duration(size == Size::kSmoke ? 1 : 20);
  TIARA_TRY(const memcached::LoadResult driven, driver->drive(duration, go_on));
  if (filled.counts.wrong_values + driven.counts.wrong_values > 0)
    return fail(ErrorCode::kUnavailable, "memcached answered with wrong values");
  driver.reset();
  server.reset();
  return finish("memcached", fmt::format("memcached, {} keys of 1 KiB, {} Zipf 0.99 GETs", options.workload.keys,
                                         driven.counts.gets), path);
}

// Twice through everything, in order.
Trace make_scan(Size size) {
  const uint64_t pages = size == Size::kSmoke ? 2'000 : 32'768;
  Trace trace{.name = "scan", .origin = fmt::format("{} pages in order, four times", pages)};
  for (int round = 0; round < 4; ++round)
    for (uint64_t page = 0; page < pages; ++page) trace.pages.push_back(page);
  return trace;
}

// Zipf references to half of the pages, and a scan of the other half that runs through them, a page for every four.
Trace make_mix(Size size) {
  const uint64_t half = size == Size::kSmoke ? 1'000 : 16'384;
  const uint64_t references = half * 40;
  Trace trace{.name = "mix",
              .origin = fmt::format("Zipf 0.99 over {} pages; for every 4 references one of a scan of as many", half)};
  const memcached::Zipf zipf(half, kZipfExponent);
  Random random(kSeed);
  uint64_t scanned = 0;
  for (uint64_t i = 0; i < references; ++i) {
    // Popular pages are scattered, as keys are in a hash table.
    trace.pages.push_back(mix64(zipf.sample(random) + kSeed) % half);
    if (i % 4 == 3) trace.pages.push_back(half + scanned++ % half);
  }
  return trace;
}

}  // namespace

std::vector<std::string_view> trace_names() { return {"memcached", "sort", "sqlite", "scan", "mix"}; }

Result<Trace> make_trace(std::string_view name, Size size, const Watch& watch) {
  if (name == "memcached") return record_memcached(size, watch);
  if (name == "sort") return record_sort(size, watch);
  if (name == "sqlite") return record_sqlite(size, watch);
  if (name == "scan") return make_scan(size);
  if (name == "mix") return make_mix(size);
  return fail(ErrorCode::kInvalidInput,
              fmt::format("'{}' is no trace; use memcached, sort, sqlite, scan or mix, or --trace FILE", name));
}

Result<Trace> load_trace(const std::string& path) {
  TIARA_TRY(const auto records, PageTrace::read_file(path));
  Trace trace{.name = path.substr(path.rfind('/') + 1), .origin = "recorded by tiara run --trace"};
  trace.pages.reserve(records.size());
  for (const auto& record : records) trace.pages.push_back(record.page.value);
  return trace;
}

}  // namespace tiara::apps::policy
