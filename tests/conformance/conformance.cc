// Runs the conformance corpus on every engine: conformance FILE.data ...
//
// The model runs programs unverified, so that what engines must do where the verifier would not let a program pass
// is fixed too; the engines run what the verifier accepts.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>

#include "nic/engine/dispatch.h"
#include "nic/engine/interpret.h"
#include "nic/engine/interpreter.h"
#include "nic/engine/jit.h"
#include "nic/verifier/verified_program.h"
#include "tests/conformance/case_world.h"
#ifdef TIARA_RTL_ENGINE
#include "nic/rtl/rtl_engine.h"
#endif

namespace tiara::conformance {
namespace {

using namespace nic;

constexpr uint64_t kStepLimit = 1'000'000;

// Sizes are the cases' own business: what they move and answer is small, whatever could be.
constexpr VerifierLimits kLimits{.max_reply_bytes = UINT64_MAX, .max_bytes_moved = UINT64_MAX};

std::set<Opcode> retired;      // by the model, over the whole corpus
std::set<uint16_t> faults_seen;

Outcome run_model(const Program& program, const Invocation& invocation) {
  if (const Refusal refusal = check_contract(program, invocation); refusal != Refusal::kNone) return refused(refusal);
  alignas(64) std::array<std::byte, kMaxScratchpadBytes> scratchpad{};
  Machine machine{invocation.regions, invocation.payload, invocation.reply, invocation.remote,
                  std::span(scratchpad).first(program.scratchpad_bytes)};
  const Outcome outcome = interpret(program.code, machine, invocation.arguments, kStepLimit,
                                    [&](uint32_t pc, const Registers&) { retired.insert(program.code[pc].opcode); });
  if (outcome.status == Status::kFault) faults_seen.insert(outcome.code);
  return outcome;
}

uint64_t count_named(const Counts& counts, const std::string& name) {
  if (name == "steps") return counts.steps;
  if (name == "loads") return counts.loads;
  if (name == "stores") return counts.stores;
  if (name == "lines") return counts.lines;
  if (name == "atomics") return counts.atomics;
  if (name == "bytes_moved") return counts.bytes_moved;
  if (name == "remote_operations") return counts.remote_operations;
  fprintf(stderr, "unknown count '%s'\n", name.c_str());
  exit(2);
}

struct EngineUnderTest {
  std::string name;
  size_t most_arguments;
  std::function<Outcome(const VerifiedProgram&, const Invocation&)> run;
};

std::unique_ptr<JitEngine> must_create(Checks checks) {
  auto engine = JitEngine::create(checks);
  if (!engine) {
    fprintf(stderr, "%s\n", engine.error().message.c_str());
    exit(2);
  }
  return std::move(*engine);
}

std::vector<EngineUnderTest> engines() {
  static Interpreter interpreter;
  static const auto eliding = must_create(Checks::kElideProved);
  static const auto checking = must_create(Checks::kKeepAll);
  const auto run_prepared = [](Engine& engine, const VerifiedProgram& program, const Invocation& invocation) {
    if (const auto prepared = engine.prepare(program); !prepared) {
      fprintf(stderr, "%s\n", prepared.error().message.c_str());
      exit(2);
    }
    return engine.run(program, invocation);
  };
  using std::placeholders::_1, std::placeholders::_2;
#ifdef TIARA_RTL_ENGINE
  // The hardware alone, and with as many arguments as a frame has: the others have a test of their own.
  // Memory is slow and answers in any order.
  static rtl::RtlEngine hardware({5, 40, 10, 10, 7});
  return {{"rtl", kMaxArguments, std::bind(run_prepared, std::ref(hardware), _1, _2)}};
#endif
  return {{"interpreter", kMaxProgramArguments, std::bind(run_prepared, std::ref(interpreter), _1, _2)},
          {"jit", kMaxProgramArguments, std::bind(run_prepared, std::ref(*eliding), _1, _2)},
          {"jit, all checks", kMaxProgramArguments, std::bind(run_prepared, std::ref(*checking), _1, _2)}};
}

class Checker {
 public:
  Checker(const Case& expected, const std::string& engine) : case_(expected), engine_(engine) {}

  void require(bool is_right, const std::string& what) {
    if (is_right) return;
    is_right_ = false;
    fprintf(stderr, "%s:%u: %s [%s]: %s\n", case_.file.c_str(), case_.line, case_.name.c_str(), engine_.c_str(),
            what.c_str());
  }
  void equal(uint64_t found, uint64_t wanted, const std::string& what) {
    char text[160];
    snprintf(text, sizeof text, "%s is 0x%llx, expected 0x%llx", what.c_str(), static_cast<unsigned long long>(found),
             static_cast<unsigned long long>(wanted));
    require(found == wanted, text);
  }
  void equal(const Bytes& found, const Bytes& wanted, const std::string& what) {
    equal(found.size(), wanted.size(), what + " length");
    for (size_t i = 0; i < std::min(found.size(), wanted.size()); ++i)
      if (found[i] != wanted[i])
        return equal(static_cast<uint64_t>(found[i]), static_cast<uint64_t>(wanted[i]),
                     what + " byte " + std::to_string(i));
  }
  bool is_right() const { return is_right_; }

 private:
  const Case& case_;
  const std::string& engine_;
  bool is_right_ = true;
};

using RunProgram = std::function<Outcome(const Invocation&)>;

bool run_case(const Case& wanted, const Program& program, const std::string& engine, const RunProgram& run_program) {
  std::vector<AlignedBytes> memory;
  for (const CaseRegion& region : wanted.regions) memory.emplace_back(region.content);
  RegionTable regions{};
  for (size_t i = 0; i < memory.size(); ++i)
    if (!wanted.regions[i].is_remote)
      regions[i] = {memory[i].data(), memory[i].size(), program.regions[i].permission};
  FakeRemote remote(memory, wanted.regions);
  AlignedBytes payload(wanted.payload);
  AlignedBytes reply(Bytes(wanted.reply_room));
  const Outcome outcome = run_program({.regions = regions,
                                       .arguments = wanted.arguments,
                                       .payload = {payload.data(), payload.size()},
                                       .reply = {reply.data(), reply.size()},
                                       .remote = wanted.has_remote_port ? &remote : nullptr});

  Checker check(wanted, engine);
  check.equal(static_cast<uint64_t>(outcome.status), static_cast<uint64_t>(wanted.status), "status");
  check.equal(outcome.code, wanted.reason, "reason");
  if (wanted.pc) check.equal(outcome.pc, *wanted.pc, "pc");
  for (size_t i = 0; i < wanted.results.size(); ++i)
    check.equal(outcome.results[i], wanted.results[i], "result r" + std::to_string(i));
  const Bytes replied(reply.data(), reply.data() + std::min<size_t>(outcome.reply_bytes, reply.size()));
  check.equal(replied, wanted.reply, "reply");
  for (size_t i = 0; i < memory.size(); ++i) {
    check.equal(memory[i].bytes(), wanted.regions[i].expected, "region " + wanted.regions[i].name);
    check.require(memory[i].is_guard_intact(), "bytes behind region " + wanted.regions[i].name + " changed");
  }
  check.require(reply.is_guard_intact(), "bytes behind the reply changed");
  check.equal(payload.bytes(), wanted.payload, "payload");
  for (const auto& [name, value] : wanted.counts) check.equal(count_named(outcome.counts, name), value, name);
  return check.is_right();
}

struct Tally {
  int cases = 0;
  int runs = 0;
  int wrong = 0;
};

void run_everywhere(const Case& each, Tally& tally) {
  const auto complain = [&](const std::string& what) {
    fprintf(stderr, "%s:%u: %s: %s\n", each.file.c_str(), each.line, each.name.c_str(), what.c_str());
    ++tally.wrong;
  };
  const auto count = [&](bool is_right) {
    ++tally.runs;
    if (!is_right) ++tally.wrong;
  };
  ++tally.cases;
  const auto program = each.program();
  if (!program) return complain(program.error().message);
  count(run_case(each, *program, "model",
                 [&](const Invocation& invocation) { return run_model(*program, invocation); }));
  const auto verified = verify(*program, kLimits);
  if (verified.has_value() != each.is_verifiable)
    return complain(verified ? "the verifier accepts it, but it is marked unverified"
                             : "the verifier rejects it: " + to_string(verified.error()));
  if (!verified) return;
  for (const EngineUnderTest& engine : engines())
    if (each.arguments.size() <= engine.most_arguments)
      count(run_case(each, *program, engine.name,
                     [&](const Invocation& invocation) { return engine.run(*verified, invocation); }));
}

int run(const std::vector<std::string>& paths) {
  Tally tally;
  for (const std::string& path : paths) {
    const auto read = read_cases(path);
    if (!read) {
      fprintf(stderr, "%s\n", read.error().message.c_str());
      return 2;
    }
    for (const Case& each : *read) run_everywhere(each, tally);
  }
  for (const InstructionInfo& row : all_instructions())
    if (!retired.contains(row.opcode)) {
      fprintf(stderr, "no case runs `%s`\n", std::string(row.mnemonic).c_str());
      ++tally.wrong;
    }
  for (uint16_t fault = 1; fault < kFaultKinds; ++fault)
    if (!faults_seen.contains(fault)) {
      fprintf(stderr, "no case ends in fault %u\n", fault);
      ++tally.wrong;
    }
  printf("%d cases, %d runs, %d wrong\n", tally.cases, tally.runs, tally.wrong);
  return tally.wrong == 0 && tally.cases > 0 ? 0 : 1;
}

}  // namespace
}  // namespace tiara::conformance

int main(int argc, char** argv) { return tiara::conformance::run({argv + 1, argv + argc}); }
