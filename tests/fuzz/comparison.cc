#include "tests/fuzz/comparison.h"

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>

#include "nic/engine/interpreter.h"
#include "nic/engine/jit.h"
#include "tests/fuzz/world.h"

namespace tiara::nic::fuzz {
namespace {

std::string describe(const Outcome& outcome) {
  std::ostringstream text;
  const Counts& counts = outcome.counts;
  text << "status " << static_cast<int>(outcome.status) << " code " << outcome.code << " pc " << outcome.pc
       << " results" << std::hex;
  for (const uint64_t result : outcome.results) text << " " << result;
  text << std::dec << " reply " << outcome.reply_bytes << " steps " << counts.steps << " loads " << counts.loads
       << " stores " << counts.stores << " lines " << counts.lines << " atomics " << counts.atomics << " bytes "
       << counts.bytes_moved << " remote " << counts.remote_operations;
  return text.str();
}

// The first thing in which two worlds differ after their runs; empty when they do not.
std::string difference(World& a, const Outcome& of_a, World& b, const Outcome& of_b) {
  if (!(of_a == of_b)) return "outcome: " + describe(of_a) + " | " + describe(of_b);
  if (memcmp(a.pool.data(), b.pool.data(), kPoolBytes) != 0) return "pool";
  if (memcmp(a.table.data(), b.table.data(), kTableBytes) != 0) return "table";
  if (memcmp(a.reply.data(), b.reply.data(), of_a.reply_bytes) != 0) return "reply";
  if (a.payload != b.payload) return "payload";
  if (a.peers.memory() != b.peers.memory()) return "memory of other nodes";
  return "";
}

std::unique_ptr<JitEngine> must_prepare(const VerifiedProgram& program, Checks checks) {
  auto engine = JitEngine::create(checks);
  const auto prepared = engine ? (*engine)->prepare(program) : Result<void>(std::unexpected(engine.error()));
  if (!prepared) {
    std::cerr << prepared.error().message << "\n";
    exit(prepared.error().code == ErrorCode::kUnsupported ? 77 : 1);
  }
  return std::move(*engine);
}

// Regions are sometimes smaller than proofs would like: the JIT's checked variant runs then.
void shrink(RegionTable& regions, Choices& random) {
  constexpr uint64_t kSizes[] = {0, 1, 8, 64, 100, 1000, 4096};
  if (random() % 4 == 0) regions[kPoolRegion].size = kSizes[random() % std::size(kSizes)];
  if (random() % 8 == 0) regions[kTableRegion].size = kSizes[random() % std::size(kSizes)];
}

struct Contestant {
  const char* name;
  Engine* engine;
  std::unique_ptr<World> world;
};

}  // namespace

std::string compare_engines(const VerifiedProgram& program, ProgramGenerator& generator, Choices& choices,
                            uint64_t inputs, RunTally& tally) {
  Interpreter interpreter;
  const auto eliding = must_prepare(program, Checks::kElideProved);
  const auto checking = must_prepare(program, Checks::kKeepAll);
  // The worlds live through all inputs: what one run leaves behind the next one meets.
  const Input first = generator.input(program.program());
  Contestant contestants[] = {{"interpreter", &interpreter, nullptr},
                              {"jit", eliding.get(), nullptr},
                              {"jit, all checks", checking.get(), nullptr}};
  for (Contestant& each : contestants) each.world = std::make_unique<World>(first, program.bounds().reply_bytes);

  for (uint64_t n = 0; n < inputs; ++n) {
    Input input = n == 0 ? first : generator.input(program.program());
    // Now and then outside the contract.
    if (choices() % 64 == 0 && !input.arguments.empty()) input.arguments.back() = choices();
    RegionTable sizes = contestants[0].world->regions;
    shrink(sizes, choices);
    const uint64_t most_reply = program.bounds().reply_bytes;
    const uint64_t reply_room = choices() % 8 == 0 ? choices() % (most_reply + 1) : most_reply;
    const bool has_port = choices() % 16 != 0;
    Outcome outcomes[std::size(contestants)];
    for (size_t c = 0; c < std::size(contestants); ++c) {
      World& world = *contestants[c].world;
      world.payload = input.payload;
      RegionTable regions = world.regions;
      for (size_t region = 0; region < regions.size(); ++region) regions[region].size = sizes[region].size;
      outcomes[c] = contestants[c].engine->run(program, {.regions = regions,
                                                         .arguments = input.arguments,
                                                         .payload = world.payload,
                                                         .reply = std::span(world.reply).first(reply_room),
                                                         .remote = has_port ? &world.peers : nullptr});
    }
    ++tally.runs;
    tally.steps += outcomes[0].counts.steps;
    ++tally.ended[static_cast<size_t>(outcomes[0].status)];
    for (size_t c = 1; c < std::size(contestants); ++c) {
      const std::string differs = difference(*contestants[0].world, outcomes[0], *contestants[c].world, outcomes[c]);
      if (!differs.empty())
        return "input " + std::to_string(n) + ": " + contestants[0].name + " and " + contestants[c].name +
               " differ in " + differs;
    }
  }
  return "";
}

}  // namespace tiara::nic::fuzz
