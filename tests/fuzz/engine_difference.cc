// Differential fuzzing: random verified programs on random inputs must end alike on the interpreter and on both
// variants of the JIT: registers, memory here and on other nodes, reply, fault, place, and counts.
//
//   engine_difference [--programs N] [--inputs K] [--seed S] [--only INDEX]
//
// Ten million runs of a program: --programs 250000 --inputs 60. `--only` repeats one program that differed.
#include <charconv>
#include <iostream>
#include <string>
#include <string_view>

#include "nic/asm/disassembler.h"
#include "nic/verifier/verified_program.h"
#include "tests/fuzz/comparison.h"
#include "tests/fuzz/program_generator.h"

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
  RunTally runs;
};

bool run_program(uint64_t index, const Options& options, Tally& tally) {
  ProgramGenerator generator(options.seed + index);
  Choices choices(options.seed + index);
  const auto verified = verify(generator.program(Style{static_cast<uint8_t>(index % 3)}));
  if (!verified) return true;
  ++tally.accepted;
  const std::string differs = compare_engines(*verified, generator, choices, options.inputs, tally.runs);
  if (differs.empty()) return true;
  std::cerr << "--seed " << options.seed << " --only " << index << ", " << differs << "\n"
            << disassemble(verified->program());
  return false;
}

int run(const Options& options) {
  Tally tally;
  uint64_t wrong = 0;
  for (uint64_t index = 0; index < options.programs && wrong < 3; ++index)
    if ((options.only == UINT64_MAX || options.only == index) && !run_program(index, options, tally)) ++wrong;
  const RunTally& runs = tally.runs;
  std::cout << options.programs << " programs, " << tally.accepted << " accepted, " << runs.runs << " runs, "
            << runs.steps << " steps: " << runs.ended[0] << " ok, " << runs.ended[1] << " failed, " << runs.ended[2]
            << " faults, " << runs.ended[3] << " refused; " << wrong << " programs differ\n";
  return wrong == 0 && tally.runs.runs > 0 ? 0 : 1;
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
