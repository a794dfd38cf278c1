// lockstep [--instructions N] [--seed S] [--core default|split] [--coverage FILE] [CASES.data ...]
//
// The RTL core and the interpreter in lock step: first the conformance corpus, then random programs until N
// instructions were compared. Programs run side by side on all contexts; latency, back-pressure and the order of
// answers change every so often. Ten million: --instructions 10000000. The split core has HasSplitAdd.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>

#include "nic/asm/disassembler.h"
#include "nic/verifier/verified_program.h"
#include "tests/conformance/case_world.h"
#include "tests/fuzz/program_generator.h"
#include "tests/fuzz/world.h"
#include "tests/rtl/lockstep.h"

namespace tiara::nic::rtl {
namespace {

using conformance::AlignedBytes;
using conformance::Case;

constexpr uint64_t kStepLimit = 20'000;
constexpr uint64_t kMostCycles = 4'000'000;  // of one program, or nothing comes out any more
constexpr uint32_t kPercents[] = {0, 10, 50, 90};  // of cycles: back-pressure, and silence

struct Options {
  uint64_t instructions = 100'000;
  uint64_t seed = 1;
  std::string coverage, core = "default";
  std::vector<std::string> cases;
};

struct CaseWorld {
  explicit CaseWorld(const Case& each) : payload(each.payload), reply(conformance::Bytes(each.reply_room)) {
    for (const auto& region : each.regions) memory.emplace_back(region.content);
    remote = std::make_unique<conformance::FakeRemote>(memory, each.regions);
  }
  std::vector<AlignedBytes> memory;
  AlignedBytes payload, reply;
  std::unique_ptr<conformance::FakeRemote> remote;
};

Side side_of(const Case& each, const Program& program) {
  auto world = std::make_shared<CaseWorld>(each);
  Side side;
  for (size_t i = 0; i < world->memory.size(); ++i) {
    if (!each.regions[i].is_remote)
      side.regions[i] = {world->memory[i].data(), world->memory[i].size(), program.regions[i].permission};
    side.memory.push_back({world->memory[i].data(), world->memory[i].size()});
  }
  side.payload = {world->payload.data(), world->payload.size()};
  side.reply = {world->reply.data(), world->reply.size()};
  side.remote = each.has_remote_port ? world->remote.get() : nullptr;
  side.owner = world;
  return side;
}

// The same for both sides of one input: which regions are small, how much reply there is.
struct Shape {
  uint64_t pool, table, reply;
  bool has_port;
};

Side side_of(const fuzz::Input& input, const Shape& shape) {
  auto world = std::make_shared<fuzz::World>(input, shape.reply);
  Side side;
  side.regions = world->regions;
  side.regions[fuzz::kPoolRegion].size = shape.pool;
  side.regions[fuzz::kTableRegion].size = shape.table;
  side.memory = {fuzz::World::bytes(world->pool), fuzz::World::bytes(world->table)};
  for (const auto& host : world->peers.memory()) side.memory.push_back(host);
  side.payload = world->payload;
  side.reply = world->reply;
  side.remote = shape.has_port ? &world->peers : nullptr;
  side.owner = world;
  return side;
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), random_(options.seed),
        host_({.seed = options.seed}, options.core == "split" ? make_core_split() : make_core_32()) {}

  int run() {
    for (const std::string& path : options_.cases)
      if (!run_cases(path)) return 2;
    const uint64_t from_cases = compared_;
    while (compared_ < from_cases + options_.instructions && wrong_ == 0) {
      if (programs_ % 64 == 0) change_timing();
      run_random();
    }
    drain();
    if (!options_.coverage.empty()) report();
    size_t pairs = 0, everywhere = 0;
    for (const auto& [pair, times] : met()) {
      pairs += pair.second != 0;
      everywhere += pair.second != 0 && std::ranges::find(times, 0) == times.end();
    }
    std::cout << compared_ << " instructions of " << finished_ << " programs compared in " << host_.cycles()
              << " cycles, " << pairs << " pairs of instruction and fault, " << everywhere
              << " of them under every back-pressure; " << wrong_ << " programs differ\n";
    return wrong_ == 0 && compared_ > 0 ? 0 : 1;
  }

 private:
  void change_timing() {
    drain();
    constexpr uint32_t kLatencies[][2] = {{1, 1}, {1, 10}, {20, 60}, {100, 100}, {1, 300}};
    const auto& latency = kLatencies[random_() % std::size(kLatencies)];
    pressure_ = random_() % std::size(kPercents);
    const uint32_t silence = kPercents[random_() % std::size(kPercents)];
    host_.set_timing({latency[0], latency[1], kPercents[pressure_], silence, random_()});
  }

  bool run_cases(const std::string& path) {
    const auto cases = conformance::read_cases(path);
    if (!cases) {
      std::cerr << cases.error().message << "\n";
      return false;
    }
    for (const Case& each : *cases) {
      if (wrong_ != 0) break;
      const auto program = each.program();
      if (!program) continue;  // the corpus's own runner complains
      if (random_() % 32 == 0) change_timing();
      start(std::make_unique<Lockstep>(each.file + ": " + each.name, *program, each.arguments, side_of(each, *program),
                                       side_of(each, *program), kStepLimit, coverage_[pressure_]));
    }
    drain();
    return true;
  }

  void run_random() {
    const uint64_t seed = options_.seed * 1'000'003 + programs_;
    fuzz::ProgramGenerator generator(seed);
    std::mt19937_64 random(seed);
    const auto verified = verify(generator.program(fuzz::Style{static_cast<uint8_t>(programs_ % 3)}));
    ++programs_;
    if (!verified) return;
    for (int n = 0; n < 4 && wrong_ == 0; ++n) {
      const fuzz::Input input = generator.input(verified->program());
      constexpr uint64_t kSizes[] = {0, 1, 8, 64, 100, 1000, 4096};
      Shape shape{fuzz::kPoolBytes, fuzz::kTableBytes, verified->bounds().reply_bytes, random() % 16 != 0};
      if (random() % 4 == 0) shape.pool = kSizes[random() % std::size(kSizes)];
      if (random() % 8 == 0) shape.table = kSizes[random() % std::size(kSizes)];
      if (random() % 8 == 0) shape.reply = random() % (shape.reply + 1);
      const uint64_t step_limit = random() % 16 == 0 ? 1 + random() % 40 : kStepLimit;
      start(std::make_unique<Lockstep>("program " + std::to_string(programs_ - 1), verified->program(),
          input.arguments,
                                       side_of(input, shape), side_of(input, shape), step_limit,
                                       coverage_[pressure_]));
    }
  }

  void start(std::unique_ptr<Lockstep> lockstep) {
    const uint64_t begun = host_.cycles();
    while (!host_.try_submit(lockstep->job())) {
      host_.tick();
      collect();
      if (host_.cycles() - begun > kMostCycles) return stuck();
    }
    in_flight_.push_back(std::move(lockstep));
    collect();
  }

  void drain() {
    const uint64_t begun = host_.cycles();
    while (!in_flight_.empty()) {
      host_.tick();
      collect();
      if (host_.cycles() - begun > kMostCycles) return stuck();
    }
  }

  void stuck() {
    for (const auto& each : in_flight_) std::cerr << each->name() << ": does not end\n";
    wrong_ += in_flight_.size() + 1;
    in_flight_.clear();
    exit(1);
  }

  void collect() {
    std::erase_if(in_flight_, [&](const std::unique_ptr<Lockstep>& each) {
      if (!each->is_done()) return false;
      compared_ += each->steps();
      ++finished_;
      if (!each->difference().empty() && ++wrong_ <= 3)
        std::cerr << "seed " << options_.seed << ", " << each->name() << ": " << each->difference() << "\n"
                  << disassemble(each->program());
      return true;
    });
  }

  using Times = std::array<uint64_t, std::size(kPercents)>;
  // Every pair that was met, and how often under each back-pressure.
  std::map<Coverage::key_type, Times> met() const {
    std::map<Coverage::key_type, Times> all;
    for (size_t i = 0; i < coverage_.size(); ++i)
      for (const auto& [pair, count] : coverage_[i]) all[pair][i] = count;
    return all;
  }

  void report() const {
    std::ofstream out(options_.coverage);
    out << "instruction,fault";
    for (const uint32_t percent : kPercents) out << ",busy " << percent << " %";
    out << "\n";
    for (const auto& [pair, times] : met()) {
      out << info(pair.first).mnemonic << "," << pair.second;
      for (const uint64_t each : times) out << "," << each;
      out << "\n";
    }
  }

  const Options& options_;
  std::mt19937_64 random_;
  CoreHost host_;
  std::deque<std::unique_ptr<Lockstep>> in_flight_;
  std::array<Coverage, std::size(kPercents)> coverage_;  // by the share of cycles in which memory takes nothing
  size_t pressure_ = 0;
  uint64_t programs_ = 0, compared_ = 0, finished_ = 0, wrong_ = 0;
};

}  // namespace
}  // namespace tiara::nic::rtl

int main(int argc, char** argv) {
  tiara::nic::rtl::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (!name.starts_with("--")) {
      options.cases.emplace_back(name);
      continue;
    }
    const std::string_view value = i + 1 < argc ? argv[++i] : "";
    uint64_t* const number = name == "--instructions" ? &options.instructions
                             : name == "--seed"       ? &options.seed : nullptr;
    if (name == "--coverage" && !value.empty()) options.coverage = value;
    else if (name == "--core" && (value == "default" || value == "split")) options.core = value;
    else if (number == nullptr || std::from_chars(value.data(), value.data() + value.size(),
        *number).ec != std::errc{}) {
      std::cerr << "usage: lockstep [--instructions N] [--seed S] [--core default|split] [--coverage FILE] "
                   "[CASES.data ...]\n";
      return 64;
    }
  }
  return tiara::nic::rtl::Bench(options).run();
}
