// The interpreter's loop on programs that no verifier has seen: whatever they do must end in an Outcome.
// What each instruction means is tests/conformance's subject.
#include <catch2/catch.hpp>

#include <random>
#include <thread>
#include <vector>

#include "nic/asm/assembler.h"
#include "nic/engine/dispatch.h"
#include "nic/engine/interpret.h"

namespace tiara::nic {
namespace {

struct Stage {
  alignas(64) std::array<std::byte, 4096> memory{};
  std::array<std::byte, 256> reply{};
  std::array<std::byte, 128> scratchpad{};
  std::vector<std::byte> payload = std::vector<std::byte>(64);
  RegionTable regions{};

  Stage() { regions[0] = {memory.data(), memory.size(), Permission::kReadWriteAtomic}; }
  Machine machine() { return {regions, payload, reply, nullptr, scratchpad}; }
  Outcome run(const std::vector<Instruction>& code, std::vector<uint64_t> arguments, uint64_t limit = 100000) {
    Machine m = machine();
    return interpret(code, m, arguments, limit, NoObserver{});
  }
};

std::vector<Instruction> code_of(const std::string& body) {
  auto program = assemble(".operator t\n.region m rwa\n" + body, "t");
  if (!program) FAIL(program.error().message);
  return program->code;
}

TEST_CASE("random words never leave memory, never hang and always end") {
  std::mt19937_64 random(3);
  Stage stage;
  std::array<int, 4> seen{};
  for (int run = 0; run < 3000; ++run) {
    std::vector<Instruction> code;
    while (code.size() < 40) {
      const auto rows = all_instructions();
      uint64_t word = (random() & random() & random() & ~uint64_t{0xff}) |
                      static_cast<uint8_t>(rows[random() % rows.size()].opcode);
      if (random() % 2 == 0) word &= 0xf0ffffffff;
      if (const auto instruction = decode(word)) code.push_back(*instruction);
    }
    const Outcome outcome = stage.run(code, {random(), random() % 100, random() % 8});
    ++seen[static_cast<size_t>(outcome.status)];
    REQUIRE(outcome.status != Status::kRefused);
    REQUIRE(outcome.reply_bytes <= stage.reply.size());
    REQUIRE(outcome.counts.steps <= 100000);
  }
  CHECK(seen[static_cast<size_t>(Status::kFault)] > 0);
  CHECK(seen[static_cast<size_t>(Status::kOk)] > 0);
}

TEST_CASE("wrong structure is an illegal instruction, not undefined behaviour") {
  Stage stage;
  const auto faults = [&](std::vector<Instruction> code, Fault fault, uint32_t pc) {
    const Outcome outcome = stage.run(code, {1, 1});
    return outcome.status == Status::kFault && outcome.code == static_cast<uint16_t>(fault) && outcome.pc == pc;
  };
  CHECK(faults({{.opcode = Opcode::kWait}}, Fault::kIllegalInstruction, 1));                  // falls off the end
  CHECK(faults({{.opcode = Opcode::kEndLoop}}, Fault::kIllegalInstruction, 0));               // no frame
  CHECK(faults({{.opcode = Opcode::kJump, .flags = 1, .imm = 1}}, Fault::kIllegalInstruction, 0));
  CHECK(faults({{.opcode = Opcode::kJump, .imm = 9}}, Fault::kIllegalInstruction, 9));
  const Instruction loop{.opcode = Opcode::kLoop, .rd = 2, .rs1 = 0, .imm = pack_loop(1, 1)};
  CHECK(faults({loop, loop, loop, loop, loop}, Fault::kIllegalInstruction, 4));               // a fifth frame
}

TEST_CASE("the step budget stops a run and counts what retired") {
  Stage stage;
  const auto code = code_of("li r1, 10\nloop r2, r1, 10 {\n}\nret 0\n");
  CHECK(stage.run(code, {}, 13).status == Status::kOk);
  const Outcome stopped = stage.run(code, {}, 12);
  CHECK(stopped.status == Status::kFault);
  CHECK(stopped.code == static_cast<uint16_t>(Fault::kStepBudget));
  CHECK(stopped.counts.steps == 12);
  CHECK(stopped.pc == 3);
}

TEST_CASE("an observer sees the registers before each instruction") {
  Stage stage;
  const auto code = code_of("li r1, 10\naddi r1, r1, 5\nret 0\n");
  std::vector<std::pair<uint32_t, uint64_t>> seen;
  Machine machine = stage.machine();
  interpret(code, machine, {}, 10, [&](uint32_t pc, const Registers& r) { seen.emplace_back(pc, r[1]); });
  CHECK(seen == std::vector<std::pair<uint32_t, uint64_t>>{{0, 0}, {1, 10}, {2, 15}});
}

TEST_CASE("atomics of several threads lose nothing") {
  Stage stage;
  const auto code = code_of(R"(
  li r2, 1
  loop r1, r0, 20000 {
    faa r3, m[0], r2
    ld8 r4, m[8]
    cas r5, m[8], r4, r4
  }
  ret 0
)");
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      Stage mine;  // own reply and scratchpad, shared memory
      Machine machine{stage.regions, {}, mine.reply, nullptr, mine.scratchpad};
      interpret(code, machine, std::vector<uint64_t>{20000}, UINT64_MAX, NoObserver{});
    });
  for (auto& thread : threads) thread.join();
  CHECK(load_from<uint64_t>(stage.memory.data()) == 60000);
}

TEST_CASE("an invocation outside the contract is refused before it runs") {
  Program program;
  program.name = "t";
  program.regions = {{"m", Permission::kReadWrite, false, false}, {"peer", Permission::kRead, false, true}};
  program.arguments = {{"a", 2, 100, 1}};
  Stage stage;
  const auto check = [&](std::vector<uint64_t> arguments) {
    return check_contract(program, {.regions = stage.regions, .arguments = arguments, .payload = {}, .reply = {}});
  };
  CHECK(check({2}) == Refusal::kNone);
  CHECK(check({100}) == Refusal::kNone);
  CHECK(check({}) == Refusal::kArgumentCount);
  CHECK(check({2, 2}) == Refusal::kArgumentCount);
  CHECK(check({0}) == Refusal::kArgumentRange);
  CHECK(check({102}) == Refusal::kArgumentRange);
  CHECK(check({3}) == Refusal::kArgumentRange);  // bit 0 must be zero
  // The verifier's bounds count on it.
  const std::vector<std::byte> payload(kMaxProgramPayloadBytes + 1);
  const std::vector<uint64_t> arguments = {2};
  CHECK(check_contract(program, {stage.regions, arguments, payload, {}}) == Refusal::kPayloadSize);
  stage.regions[0].permission = Permission::kRead;
  CHECK(check({2}) == Refusal::kRegionUnbound);
  CHECK(refused(Refusal::kRegionUnbound).status == Status::kRefused);
}

}  // namespace
}  // namespace tiara::nic
