#include "apps/clone/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "apps/common/command.h"
#include "apps/common/command_line.h"
#include "apps/common/machine.h"
#include "nic/engine/jit.h"
#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/checker.h"
#include "pagetable/remote_page_table.h"
#include "runtime/base/config.h"

namespace tiara::apps::clone {
namespace {

using Clock = std::chrono::steady_clock;
using pagetable::Completion;
using pagetable::RemotePageTable;
using pagetable::StoreStatus;

struct Options {
  Bytes size{1 * kGiB};
  uint64_t writes = 1'000'000;
  uint32_t clones = 21;
  uint64_t seed = 1;
  std::string json_path;
};

double microseconds(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

// A page says which page it is, which write made it, and on which side; repeated, so that a mixture shows.
void fill(std::byte* page, uint64_t number, uint64_t version) {
  const std::array<uint64_t, 2> words{number * 0x9e3779b97f4a7c15 + 1, version};
  for (size_t at = 0; at < kPageSize; at += sizeof words) std::memcpy(page + at, words.data(), sizeof words);
}

bool holds(const std::byte* page, uint64_t number, uint64_t version) {
  alignas(8) std::byte expected[kPageSize];
  fill(expected, number, version);
  return std::memcmp(page, expected, kPageSize) == 0;
}

// One address space, and the version that each of its pages must have.
struct Side {
  std::unique_ptr<nic::Channel> channel;
  std::unique_ptr<RemotePageTable> table;
  std::vector<uint32_t> versions;
  uint64_t failed = 0;

  Result<void> write_all() {
    std::vector<std::byte> bytes(64 * kPageSize);
    std::array<const std::byte*, 64> pages;
    for (uint64_t first = 0; first < versions.size(); first += 64) {
      const uint64_t count = std::min<uint64_t>(64, versions.size() - first);
      for (uint64_t i = 0; i < count; ++i) {
        pages[i] = bytes.data() + i * kPageSize;
        fill(bytes.data() + i * kPageSize, first + i, versions[first + i]);
      }
      const uint64_t bitmap = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
      if (table->write({PageNumber{first}, bitmap}, {pages.data(), count}) != StoreStatus::kOk)
        return fail(ErrorCode::kResourceExhausted, "the pool has no room for the pages; use a smaller --size");
    }
    return {};
  }

  // Random pages, one invocation each.
  void write_some(uint64_t writes, uint64_t seed, uint32_t version) {
    std::mt19937_64 random(seed);
    alignas(8) std::byte bytes[kPageSize];
    const std::byte* const pages[] = {bytes};
    for (uint64_t n = 0; n < writes; ++n) {
      const uint64_t page = random() % versions.size();
      fill(bytes, page, version);
      if (table->write({PageNumber{page}, 1}, pages) != StoreStatus::kOk) ++failed;
      versions[page] = version;
    }
  }

  uint64_t wrong_pages() const {
    std::vector<std::byte> bytes(64 * kPageSize);
    uint64_t wrong = failed;
    for (uint64_t first = 0; first < versions.size(); first += 64) {
      const uint64_t count = std::min<uint64_t>(64, versions.size() - first);
      const uint64_t bitmap = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
      const auto got = table->read({PageNumber{first}, bitmap}, bytes);
      if (got.status != StoreStatus::kOk || got.present != bitmap) {
        wrong += count;
        continue;
      }
      for (uint64_t i = 0; i < count; ++i)
        if (!holds(bytes.data() + i * kPageSize, first + i, versions[first + i])) ++wrong;
    }
    return wrong;
  }
};

Result<std::shared_ptr<nic::MemoryNode>> make_node(Bytes size) {
  TIARA_TRY(auto engine, nic::JitEngine::create());
  nic::NodeConfig config;
  config.engine = std::move(engine);
  // Two sides with no page in common, and their tables.
  config.pool = {Bytes{size.value * 2 + size.value / 64 + 8 * kMiB}, nic::pool::kDefaultLevels,
                 nic::PoolBacking::kPrivate};
  TIARA_TRY(auto node, nic::MemoryNode::create(config, pagetable::builtin_operators()));
  return std::shared_ptr<nic::MemoryNode>(std::move(node));
}

Result<Side> first_side(const std::shared_ptr<nic::MemoryNode>& node, uint64_t pages) {
  Side side;
  TIARA_TRY(side.channel, nic::connect_loop(node));
  TIARA_TRY(side.table, RemotePageTable::create(*side.channel, PageCount{pages}, Completion::kInCaller));
  side.versions.assign(pages, 1);
  TIARA_TRY_VOID(side.write_all());
  return side;
}

Result<Side> cloned_side(const std::shared_ptr<nic::MemoryNode>& node, Side& from, double& clone_us) {
  const auto start = Clock::now();
  TIARA_TRY(const nic::ClonedSpace copy, from.table->clone(nic::CloneKind::kClone));
  clone_us = microseconds(Clock::now() - start);
  Side side;
  TIARA_TRY(side.channel, nic::connect_loop(node));
  TIARA_TRY(side.table,
            RemotePageTable::adopt(*side.channel, copy, from.table->max_pages(), Completion::kInCaller));
  side.versions = from.versions;
  return side;
}

struct Measured {
  std::vector<double> clone_us, drop_us;  // of a clone that nobody wrote to
  double write_us = 0;                    // one write of `options.writes`, both sides at once
  double drop_changed_us = 0;
  uint64_t wrong = 0, defects = 0, leaked_frames = 0;
};

Result<Measured> measure(const Options& options) {
  Measured result;
  const uint64_t pages = options.size.value >> kPageShift;
  TIARA_TRY(const auto node, make_node(options.size));
  {
    TIARA_TRY(Side parent, first_side(node, pages));
    double clone_us = 0;
    for (uint32_t n = 0; n < options.clones; ++n) {
      TIARA_TRY(Side child, cloned_side(node, parent, clone_us));
      result.clone_us.push_back(clone_us);
      const auto start = Clock::now();
      child.table.reset();
      result.drop_us.push_back(microseconds(Clock::now() - start));
    }
    TIARA_TRY(Side child, cloned_side(node, parent, clone_us));
    result.clone_us.push_back(clone_us);
    const auto start = Clock::now();
    {
      const std::jthread other([&] { child.write_some(options.writes / 2, options.seed + 1, 3); });
      parent.write_some(options.writes - options.writes / 2, options.seed, 2);
    }
    result.write_us = microseconds(Clock::now() - start) / static_cast<double>(std::max<uint64_t>(options.writes, 1));
    result.wrong = parent.wrong_pages() + child.wrong_pages();
    result.defects = pagetable::check_pool(node->pool().bytes()).defect_count;
    const auto drop = Clock::now();
    child.table.reset();
    result.drop_changed_us = microseconds(Clock::now() - drop);
    result.wrong += parent.wrong_pages();
  }
  result.leaked_frames = node->pool().stats().in_use.value;
  result.defects += pagetable::check_pool(node->pool().bytes()).defect_count;
  return result;
}

nlohmann::json summary(const std::vector<double>& values) {
  return {{"p50", quantile(values, 0.5)}, {"p90", quantile(values, 0.9)}, {"max", quantile(values, 1)}};
}

Result<int> run(const Options& options) {
  TIARA_TRY(const Measured result, measure(options));
  const nlohmann::json json = {
      {"benchmark", "clone"},
      {"machine", describe_machine()},
      {"configuration", {{"bytes", options.size.value}, {"writes", options.writes}, {"clones", options.clones},
                         {"seed", options.seed}}},
      {"clone_us", summary(result.clone_us)},
      {"drop_unchanged_us", summary(result.drop_us)},
      {"write_us", result.write_us},
      {"drop_changed_us", result.drop_changed_us},
      {"wrong", result.wrong},
      {"defects", result.defects},
      {"leaked_frames", result.leaked_frames}};
  fmt::print("clone of {}: {:.1f} us (p50), {:.1f} us (max) of {}; dropped unchanged in {:.1f} us\n",
             format_bytes(options.size), quantile(result.clone_us, 0.5), quantile(result.clone_us, 1),
             result.clone_us.size(), quantile(result.drop_us, 0.5));
  fmt::print("{} writes to random pages, both sides at once: {:.2f} us each; the changed clone dropped in {:.1f} ms\n",
             options.writes, result.write_us, result.drop_changed_us / 1e3);
  fmt::print("wrong pages: {}; defects: {}; leaked frames: {}\n", result.wrong, result.defects, result.leaked_frames);
  if (!options.json_path.empty()) std::ofstream(options.json_path) << json.dump(2) << "\n";
  return result.wrong + result.defects + result.leaked_frames == 0 ? kExitOk : kExitFailure;
}

}  // namespace

int bench_main(int argc, char** argv) {
  CommandLine app("A clone of an address space on the node, and writes to both sides after it.");
  Options options;
  std::string size = "1G";
  app.add_option("--size", size, "bytes of the address space; the node's pool takes a little over twice that");
  app.add_option("--writes", options.writes, "writes of one page each after the clone, half of them on each side");
  app.add_option("--clones", options.clones, "clones that are timed and dropped")->range(1, 100'000);
  app.add_option("--seed", options.seed, "seed of the pages that are written");
  app.add_option("--json", options.json_path, "write the result to this file");
  if (const auto status = app.parse(argc, argv)) return *status;
  const auto bytes = parse_bytes(size);
  if (!bytes) return complain(bytes.error());
  options.size = Bytes{round_down(bytes->value, kPageSize)};
  if (options.size.value == 0) return complain(Error{ErrorCode::kInvalidInput, "--size 0 holds no page; use 64M"});
  const auto result = run(options);
  return result ? *result : complain(result.error());
}

}  // namespace tiara::apps::clone
