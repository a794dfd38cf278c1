// nic_random [--programs N] [--seed S]: random verified programs on the NIC as an engine and on the interpreter must
// end alike: outcome, counts, memory here and on other nodes, reply. Four threads ask at the same time, so that the
// NIC has several invocations of several operators and domains in flight; memory answers late and in any order. Half of
// the programs run with the table cache as they ask for it, the others with all regions in it.
#include <atomic>
#include <charconv>
#include <iostream>
#include <mutex>
#include <string_view>
#include <thread>

#include "nic/asm/disassembler.h"
#include "nic/engine/interpreter.h"
#include "nic/rtl/rtl_engine.h"
#include "tests/fuzz/program_generator.h"
#include "tests/fuzz/world.h"

namespace tiara::nic::rtl {
namespace {

constexpr uint32_t kThreads = 4;
constexpr uint64_t kInputs = 4;  // of each program

struct Tally {
  std::atomic<uint64_t> next{0}, runs{0}, faults{0}, wrong{0};
  std::mutex output;
};

bool run_alike(const VerifiedProgram& program, const fuzz::Input& input, uint64_t room, uint64_t pool, Engine& hardware,
               Tally& tally) {
  fuzz::World golden(input, room), world(input, room);
  const auto run_on = [&](Engine& engine, fuzz::World& on) {
    on.regions[fuzz::kPoolRegion].size = pool;
    return engine.run(program, {on.regions, input.arguments, on.payload, on.reply, &on.peers});
  };
  Interpreter interpreter;
  const Outcome wanted = run_on(interpreter, golden), found = run_on(hardware, world);
  tally.runs.fetch_add(1);
  if (wanted.status == Status::kFault) tally.faults.fetch_add(1);
  const auto equal = [](std::span<const std::byte> a, std::span<const std::byte> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  bool is_equal = wanted == found && equal(fuzz::World::bytes(golden.pool), fuzz::World::bytes(world.pool)) &&
                  equal(fuzz::World::bytes(golden.table), fuzz::World::bytes(world.table)) &&
                  equal(std::span(golden.reply).first(wanted.reply_bytes),
                        std::span(world.reply).first(wanted.reply_bytes));
  for (size_t host = 0; host < golden.peers.memory().size(); ++host)
    is_equal = is_equal && equal(golden.peers.memory()[host], world.peers.memory()[host]);
  return is_equal;
}

void work(uint64_t seed, uint64_t programs, Engine& hardware, Tally& tally) {
  for (uint64_t index; tally.wrong == 0 && (index = tally.next.fetch_add(1)) < programs;) {
    fuzz::ProgramGenerator generator(seed * 1'000'003 + index);
    std::mt19937_64 random(seed + index);
    const auto verified = verify(generator.program(fuzz::Style{static_cast<uint8_t>(index % 3)}));
    if (!verified || verified->program().arguments.size() > kMaxArguments) continue;  // a frame has six
    for (uint64_t n = 0; n < kInputs && tally.wrong == 0; ++n) {
      const fuzz::Input input = generator.input(verified->program());
      constexpr uint64_t kSizes[] = {0, 1, 8, 64, 100, 1000, 4096};
      const uint64_t bound = std::min<uint64_t>(verified->bounds().reply_bytes, kMaxReplyBytes);
      const uint64_t room = random() % 8 == 0 ? random() % (bound + 1) : bound;
      const uint64_t pool = random() % 4 == 0 ? kSizes[random() % std::size(kSizes)] : fuzz::kPoolBytes;
      if (run_alike(*verified, input, room, pool, hardware, tally)) continue;
      const std::lock_guard lock(tally.output);
      ++tally.wrong;
      std::cerr << "--seed " << seed << ", program " << index << ", input " << n << " differs\n"
                << disassemble(verified->program());
    }
  }
}

int run(uint64_t programs, uint64_t seed, RtlEngine::Caching caching) {
  RtlEngine hardware({2, 60, 10, 10, seed}, kNicAddress, caching);
  Tally tally;
  {
    std::vector<std::jthread> threads;
    for (uint32_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&] { work(seed, programs, hardware, tally); });
  }
  const NicFigures figures = hardware.figures();
  std::cout << tally.runs << " runs, " << tally.faults << " of them faulted, in " << hardware.cycles() << " cycles; "
            << figures.done << " ran, " << figures.refused << " refused, " << figures.hits << " words from the cache; "
            << tally.wrong << " differ\n";
  return tally.wrong == 0 && tally.runs > 0 ? 0 : 1;
}

}  // namespace
}  // namespace tiara::nic::rtl

int main(int argc, char** argv) {
  uint64_t programs = 300, seed = 1;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    uint64_t* const field = name == "--programs" ? &programs : name == "--seed" ? &seed : nullptr;
    if (field == nullptr || std::from_chars(value.data(), value.data() + value.size(), *field).ec != std::errc{}) {
      std::cerr << "usage: nic_random [--programs N] [--seed S]\n";
      return 64;
    }
  }
  using tiara::nic::rtl::RtlEngine;
  const int hinted = tiara::nic::rtl::run(programs / 2, seed, RtlEngine::Caching::kAsHinted);
  const int all = tiara::nic::rtl::run(programs - programs / 2, seed + 1, RtlEngine::Caching::kAll);
  return hinted != 0 ? hinted : all;
}
