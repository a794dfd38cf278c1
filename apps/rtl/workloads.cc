#include "apps/rtl/workloads.h"

#include <fmt/core.h>

#include <cstring>
#include <random>

#include "nic/asm/assembler.h"
#include "nic/node/pool_layout.h"
#include "nic/operators/library.h"
#include "nic/verifier/rejection.h"
#include "pagetable/builtin.h"

namespace tiara::apps::rtl {
namespace {

using namespace nic::pool;

constexpr uint64_t kLine = 64;
constexpr size_t kInvocations = 256;  // different ones; then they come again
constexpr size_t kNeighbours = 512;   // the pages of one last-level table
constexpr uint64_t kGatherBytes = 8192;

Result<nic::VerifiedProgram> accept(Result<nic::Program> program) {
  if (!program) return std::unexpected(program.error());
  auto verified = nic::verify(std::move(*program));
  if (!verified) return fail(ErrorCode::kRejected, nic::to_string(verified.error()));
  return std::move(*verified);
}

Result<nic::VerifiedProgram> builtin(std::span<const nic::BuiltinOperator> from, std::string_view name) {
  for (const auto& each : from)
    if (each.name == name) return accept(nic::deserialize(each.container));
  return fail(ErrorCode::kNotFound, fmt::format("{} is not among the built-in operators", name));
}

// The walk and nothing else, as a NIC's own page walker does it: one indexed load a level. An entry that is absent is
// 0, and frame 0 is a table of zeros, so that a walk through it ends at 0 without a branch.
std::string plain_walk(uint32_t levels) {
  std::string text = fmt::format(".operator walk{}\n.region pool r\n.arg page 0 {:#x}\n.arg root 0 1 << 40 align 4096\n"
                                 ".results 1\n", levels, max_pages_for(levels) - 1);
  for (uint32_t level = levels; level > 0; --level)
    text += fmt::format("  ld8x {}, pool[{} + r0.bits({},9) << 3]\n", level == 1 ? "r0" : "r1", "r1", 9 * (level - 1));
  return text + "  ret\n";
}

// The same with what a table of another make needs: a branch for absent entries, and flags that are masked out.
std::string checked_walk(uint32_t levels) {
  std::string text = fmt::format(".operator checked{}\n.region pool r\n.arg page 0 {:#x}\n"
                                 ".arg root 0 1 << 40 align 4096\n.results 1\n", levels, max_pages_for(levels) - 1);
  for (uint32_t level = levels; level > 0; --level) {
    text += fmt::format("  ld8x r2, pool[r1 + r0.bits({},9) << 3]\n  beq r2, 0, absent\n", 9 * (level - 1));
    if (level > 1) text += "  andi r1, r2, -4096\n";
  }
  return text + "absent:\n  mov r0, r2\n  ret\n";
}

uint64_t& word_at(std::vector<std::byte>& memory, uint64_t offset) {
  return *reinterpret_cast<uint64_t*>(memory.data() + offset);
}

// Tables of `levels` for random pages, or for pages beside each other: then only the last level's entry is another one.
// Frame 0 is zeros, frame 1 the space's descriptor, frame 2 the root.
Workload walk(std::string name, nic::VerifiedProgram program, uint32_t levels, bool has_root, std::mt19937_64& random,
              bool is_cached = false) {
  Workload made{std::move(name), std::move(program), {}, {}, {}, 0, static_cast<uint16_t>(is_cached ? 3 : 0)};
  made.memory.resize((3 + levels * kInvocations) << kPageShift);
  auto* const space = reinterpret_cast<SpaceDescriptor*>(made.memory.data() + kPageSize);
  space->root = entry_of(2);
  space->levels = levels;
  space->max_pages = max_pages_for(levels);
  const uint64_t first = random() % space->max_pages / kNeighbours * kNeighbours;
  uint64_t next_frame = 3;
  for (size_t n = 0; n < (is_cached ? kNeighbours : kInvocations); ++n) {
    const uint64_t page = is_cached ? first + n : random() % space->max_pages;
    uint64_t table = entry_of(2);
    for (uint32_t level = levels; level > 1; --level) {
      uint64_t& entry = word_at(made.memory, table + 8 * entry_index(page, level));
      if (entry == 0) entry = entry_of(next_frame++);
      table = entry;
    }
    if (n % 16 != 15) word_at(made.memory, table + 8 * entry_index(page, 1)) = entry_of(1 + random() % 1'000'000);
    made.arguments.push_back(has_root ? std::vector{page, entry_of(2)} : std::vector{page});
  }
  made.views = {{0, made.memory.size()}, {kPageSize, kDescriptorBytes}};
  return made;
}

// Vertices in random order; every path is ten hops long.
Workload graph(nic::VerifiedProgram program, std::mt19937_64& random) {
  Workload made{"graph10", std::move(program), {}, {}, {}, kLine, 0};
  constexpr uint64_t kVertices = 4096, kHops = 10;
  made.memory.resize(kVertices * kLine);
  for (uint64_t vertex = 0; vertex < kVertices; ++vertex) {
    word_at(made.memory, vertex * kLine) = vertex;
    for (uint64_t edge = 1; edge < 8; ++edge)
      word_at(made.memory, vertex * kLine + 8 * edge) = (1 + random() % (kVertices - 1)) * kLine;
  }
  for (size_t n = 0; n < kInvocations; ++n) {
    uint64_t path = 0;
    for (uint64_t hop = 0; hop < kHops; ++hop) path |= random() % 7 << (3 * hop);
    made.arguments.push_back({random() % kVertices * kLine, path, kHops, ~uint64_t{0}});
  }
  made.views = {{0, made.memory.size()}};
  return made;
}

Workload lock(nic::VerifiedProgram program) {
  Workload made{"lock", std::move(program), std::vector<std::byte>(kInvocations * kLine), {}, {}, 0, 0};
  for (uint64_t n = 0; n < kInvocations; ++n) made.arguments.push_back({n * kLine, n + 1, 4});
  made.views = {{0, made.memory.size()}};
  return made;
}

Workload gather(nic::VerifiedProgram program, std::mt19937_64& random) {
  Workload made{"gather8k", std::move(program), std::vector<std::byte>(64 * kGatherBytes), {}, {}, kGatherBytes, 0};
  for (std::byte& each : made.memory) each = static_cast<std::byte>(random());
  for (size_t n = 0; n < kInvocations; ++n) made.arguments.push_back({random() % 64 * kGatherBytes});
  made.views = {{0, made.memory.size()}};
  return made;
}

}  // namespace

nic::RegionTable Workload::regions(std::vector<std::byte>& of) const {
  nic::RegionTable table{};
  for (size_t i = 0; i < views.size(); ++i)
    table[i] = {of.data() + views[i].first, views[i].second, program.program().regions[i].permission};
  return table;
}

Result<std::vector<Workload>> make_workloads(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Workload> made;
  for (uint32_t levels = 1; levels <= kMaxLevels; ++levels) {
    TIARA_TRY(auto plain, accept(nic::assemble(plain_walk(levels), "walk")));
    TIARA_TRY(auto checked, accept(nic::assemble(checked_walk(levels), "checked")));
    TIARA_TRY(auto page_table, builtin(pagetable::builtin_operators(), "pt_walk"));
    made.push_back(walk(fmt::format("walk{}", levels), std::move(plain), levels, true, random));
    made.push_back(walk(fmt::format("walk{}_checked", levels), std::move(checked), levels, true, random));
    made.push_back(walk(fmt::format("pt_walk{}", levels), std::move(page_table), levels, false, random));
  }
  TIARA_TRY(auto plain, accept(nic::assemble(plain_walk(4), "walk")));
  made.push_back(walk("walk4_cached", std::move(plain), 4, true, random, true));
  TIARA_TRY(auto page_table, builtin(pagetable::builtin_operators(), "pt_walk"));
  made.push_back(walk("pt_walk4_cached", std::move(page_table), 4, false, random, true));
  TIARA_TRY(auto graph_walk, builtin(nic::operators::builtin_operators(), "graph_walk"));
  made.push_back(graph(std::move(graph_walk), random));
  TIARA_TRY(auto lock_acquire, builtin(nic::operators::builtin_operators(), "lock_acquire"));
  made.push_back(lock(std::move(lock_acquire)));
  TIARA_TRY(auto block, accept(nic::assemble(fmt::format(
      ".operator block\n.region data r\n.arg at 0 0xffffffff\n.results 0\n.reply {0}\n  li r1, {0}\n"
      "  gather data[at], r1\n  ret\n", kGatherBytes), "block")));
  made.push_back(gather(std::move(block), random));
  return made;
}

}  // namespace tiara::apps::rtl
