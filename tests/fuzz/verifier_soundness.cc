// Soundness of the verifier, by fuzzing: random programs that it accepts run on the interpreter, and every
// register before every instruction, every access and every count is compared with what was proved. And the
// reverse: of careful programs, nearly all must be accepted.
//
//   verifier_soundness [--programs N] [--seed S] [--inputs K] [--only INDEX]
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "nic/asm/disassembler.h"
#include "nic/engine/interpret.h"
#include "nic/verifier/analysis.h"
#include "nic/verifier/verified_program.h"
#include "tests/fuzz/program_generator.h"
#include "tests/fuzz/verifier_monitor.h"
#include "tests/fuzz/world.h"

namespace tiara::nic::fuzz {
namespace {

// The verifier is of use only if it accepts what careful authors write.
constexpr double kLeastAcceptance = 0.95;

struct Options {
  uint64_t programs = 3000;
  uint64_t seed = 1;
  uint64_t inputs = 3;
  uint64_t only = UINT64_MAX;
};

struct Tally {
  uint64_t made[3] = {};
  uint64_t accepted[3] = {};
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t ended[4] = {};
  std::map<std::string_view, uint64_t> careful_rejections;  // by requirement
};

constexpr const char* kStyleNames[] = {"careful", "careless", "mutated"};

bool run_once(const Program& program, const Analysis& analysis, const Input& input, Tally& tally) {
  World world(input, analysis.bounds.reply_bytes);
  std::vector<std::byte> scratchpad(program.scratchpad_bytes);
  Machine machine{world.regions, world.payload, world.reply, &world.peers, scratchpad};
  Monitor monitor(program, analysis, machine);
  const Outcome outcome = interpret(program.code, machine, input.arguments, analysis.bounds.steps,
                                    [&](uint32_t pc, const Registers& r) noexcept { monitor(pc, r); });
  monitor.finish(outcome);
  ++tally.runs;
  tally.steps += outcome.counts.steps;
  ++tally.ended[static_cast<size_t>(outcome.status)];
  if (monitor.contradiction().empty()) return true;
  std::fprintf(stderr, "%s\n", monitor.contradiction().c_str());
  return false;
}

bool run_program(uint64_t index, const Options& options, Tally& tally) {
  ProgramGenerator generator(options.seed + index);
  const uint64_t style = index % 3;
  const Program program = generator.program(static_cast<Style>(style));
  ++tally.made[style];
  const auto analysis = analyze(program);
  if (options.only != UINT64_MAX && !analysis) {
    std::printf("%s%s\n", disassemble(program).c_str(), to_string(analysis.error()).c_str());
  }
  if (!analysis && style == 0) ++tally.careful_rejections[to_string(analysis.error().requirement)];
  if (!analysis) return true;
  ++tally.accepted[style];
  if (options.only != UINT64_MAX) {
    std::printf("%s", explain(program, *analysis, [](const Program& p, uint32_t pc) {
                        return disassemble(p, p.code[pc]);
                      }).c_str());
  }
  for (uint64_t i = 0; i < options.inputs; ++i) {
    if (run_once(program, *analysis, generator.input(program), tally)) continue;
    std::fprintf(stderr, "UNSOUND: replay with --seed %llu --only %llu\n%s",
                 static_cast<unsigned long long>(options.seed), static_cast<unsigned long long>(index),
                 disassemble(program).c_str());
    return false;
  }
  return true;
}

int fuzz(const Options& options) {
  Tally tally;
  const bool is_single = options.only != UINT64_MAX;
  for (uint64_t i = is_single ? options.only : 0; i < (is_single ? options.only + 1 : options.programs);
       ++i) {
    if (!run_program(i, options, tally)) return 1;
  }
  for (int style = 0; style < 3; ++style) {
    std::printf("%-9s %9llu programs, %9llu accepted\n", kStyleNames[style],
                static_cast<unsigned long long>(tally.made[style]),
                static_cast<unsigned long long>(tally.accepted[style]));
  }
  std::printf("%llu runs, %llu steps: %llu ok, %llu failed, %llu faults; no contradiction\n",
              static_cast<unsigned long long>(tally.runs), static_cast<unsigned long long>(tally.steps),
              static_cast<unsigned long long>(tally.ended[0]),
              static_cast<unsigned long long>(tally.ended[1]),
              static_cast<unsigned long long>(tally.ended[2]));
  for (const auto& [requirement, count] : tally.careful_rejections) {
    std::printf("careful, rejected for %s: %llu\n", std::string(requirement).c_str(),
                static_cast<unsigned long long>(count));
  }
  if (is_single) return 0;
  const double acceptance = static_cast<double>(tally.accepted[0]) / static_cast<double>(tally.made[0]);
  std::printf("acceptance of careful programs: %.2f %%, at least %.0f %% wanted\n", 100 * acceptance,
              100 * kLeastAcceptance);
  return acceptance >= kLeastAcceptance ? 0 : 1;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    uint64_t* target = nullptr;
    if (std::strcmp(argv[i], "--programs") == 0) target = &options.programs;
    if (std::strcmp(argv[i], "--seed") == 0) target = &options.seed;
    if (std::strcmp(argv[i], "--inputs") == 0) target = &options.inputs;
    if (std::strcmp(argv[i], "--only") == 0) target = &options.only;
    const char* end = argv[i + 1] + std::strlen(argv[i + 1]);
    if (target == nullptr || std::from_chars(argv[i + 1], end, *target).ptr != end) return false;
  }
  return argc % 2 == 1 && options.programs > 2;
}

}  // namespace
}  // namespace tiara::nic::fuzz

int main(int argc, char** argv) {
  tiara::nic::fuzz::Options options;
  if (!tiara::nic::fuzz::parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: verifier_soundness [--programs N] [--seed S] [--inputs K] [--only INDEX]\n");
    return 64;
  }
  return tiara::nic::fuzz::fuzz(options);
}
