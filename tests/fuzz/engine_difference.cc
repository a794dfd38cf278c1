// Differential fuzzing: random verified programs on random inputs must end alike on the interpreter and on both
// variants of the JIT: registers, memory here and on other nodes, reply, fault, place, and counts.
//
//   engine_difference [--programs N] [--inputs K] [--seed S] [--only INDEX]
//
// Ten million runs of a program: --programs 250000 --inputs 60. `--only` repeats one program that differed.
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "nic/asm/disassembler.h"
#include "nic/engine/interpreter.h"
#include "nic/engine/jit.h"
#include "nic/verifier/verified_program.h"
#include "tests/fuzz/program_generator.h"
#include "tests/fuzz/world.h"

namespace tiara::nic::fuzz {
namespace {

struct Options {
  uint64_t programs = 1000;
  uint64_t inputs = 20;
  uint64_t seed = 1;
  uint64_t only = UINT64_MAX;
};

struct Tally {
  uint64_t accepted = 0;
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t ended[4] = {};
};

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
void shrink(RegionTable& regions, std::mt19937_64& random) {
  constexpr uint64_t kSizes[] = {0, 1, 8, 64, 100, 1000, 4096};
  if (random() % 4 == 0) regions[kPoolRegion].size = kSizes[random() % std::size(kSizes)];
  if (random() % 8 == 0) regions[kTableRegion].size = kSizes[random() % std::size(kSizes)];
}

bool run_program(uint64_t index, const Options& options, Tally& tally) {
  ProgramGenerator generator(options.seed + index);
  std::mt19937_64 random(options.seed + index);
  const auto verified = verify(generator.program(Style{static_cast<uint8_t>(index % 3)}));
  if (!verified) return true;
  ++tally.accepted;
  Interpreter interpreter;
  const auto eliding = must_prepare(*verified, Checks::kElideProved);
  const auto checking = must_prepare(*verified, Checks::kKeepAll);
  struct Contestant {
    const char* name;
    Engine* engine;
    std::unique_ptr<World> world;
  };
  // The worlds live through all inputs: what one run leaves behind the next one meets.
  const Input first = generator.input(verified->program());
  Contestant contestants[] = {{"interpreter", &interpreter, nullptr},
                              {"jit", eliding.get(), nullptr},
                              {"jit, all checks", checking.get(), nullptr}};
  for (Contestant& each : contestants) each.world = std::make_unique<World>(first, verified->bounds().reply_bytes);

  for (uint64_t n = 0; n < options.inputs; ++n) {
    Input input = n == 0 ? first : generator.input(verified->program());
    // Now and then outside the contract.
    if (random() % 64 == 0 && !input.arguments.empty()) input.arguments.back() = random();
    RegionTable sizes = contestants[0].world->regions;
    shrink(sizes, random);
    const uint64_t most_reply = verified->bounds().reply_bytes;
    const uint64_t reply_room = random() % 8 == 0 ? random() % (most_reply + 1) : most_reply;
    const bool has_port = random() % 16 != 0;
    Outcome outcomes[std::size(contestants)];
    for (size_t c = 0; c < std::size(contestants); ++c) {
      World& world = *contestants[c].world;
      world.payload = input.payload;
      RegionTable regions = world.regions;
      for (size_t region = 0; region < regions.size(); ++region) regions[region].size = sizes[region].size;
      outcomes[c] = contestants[c].engine->run(*verified, {.regions = regions,
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
      if (differs.empty()) continue;
      std::cerr << "--seed " << options.seed << " --only " << index << ", input " << n << ": " << contestants[0].name
                << " and " << contestants[c].name << " differ in " << differs << "\n"
                << disassemble(verified->program());
      return false;
    }
  }
  return true;
}

int run(const Options& options) {
  Tally tally;
  uint64_t wrong = 0;
  for (uint64_t index = 0; index < options.programs && wrong < 3; ++index)
    if ((options.only == UINT64_MAX || options.only == index) && !run_program(index, options, tally)) ++wrong;
  std::cout << options.programs << " programs, " << tally.accepted << " accepted, " << tally.runs << " runs, "
            << tally.steps << " steps: " << tally.ended[0] << " ok, " << tally.ended[1] << " failed, " << tally.ended[2]
            << " faults, " << tally.ended[3] << " refused; " << wrong << " programs differ\n";
  return wrong == 0 && tally.runs > 0 ? 0 : 1;
}

}  // namespace
}  // namespace tiara::nic::fuzz

int main(int argc, char** argv) {
  tiara::nic::fuzz::Options options;
  const auto field_of = [&](std::string_view name) -> uint64_t* {
    if (name == "--programs") return &options.programs;
    if (name == "--inputs") return &options.inputs;
    if (name == "--seed") return &options.seed;
    return name == "--only" ? &options.only : nullptr;
  };
  for (int i = 1; i < argc; i += 2) {
    uint64_t* const field = field_of(argv[i]);
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (field == nullptr || std::from_chars(value.data(), value.data() + value.size(), *field).ec != std::errc{}) {
      std::cerr << "usage: engine_difference [--programs N] [--inputs K] [--seed S] [--only INDEX]\n";
      return 64;
    }
  }
  return tiara::nic::fuzz::run(options);
}
