// The JIT as an engine: preparing, falling back, protecting its code. What its code computes is the subject of
// tests/conformance and tests/fuzz.
#include <catch2/catch.hpp>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "nic/asm/assembler.h"
#include "nic/engine/jit.h"

namespace tiara::nic {
namespace {

VerifiedProgram must_verify(const std::string& body) {
  auto program = assemble(".operator t\n.region m rwa\n.results 4\n" + body, "t");
  if (!program) FAIL(program.error().message);
  auto verified = verify(std::move(*program));
  if (!verified) FAIL(to_string(verified.error()));
  return *verified;
}

std::unique_ptr<JitEngine> must_create() {
  auto engine = JitEngine::create();
  if (!engine) FAIL(engine.error().message);
  return std::move(*engine);
}

struct Stage {
  alignas(64) std::array<std::byte, 256> memory{};
  RegionTable regions{};
  Stage() { regions[0] = {memory.data(), memory.size(), Permission::kReadWriteAtomic}; }
  Outcome run(Engine& engine, const VerifiedProgram& program, std::vector<uint64_t> arguments) {
    return engine.run(program, {.regions = regions, .arguments = arguments, .payload = {}, .reply = {}});
  }
};

const std::string kSum = ".arg n 0 100\nli r1, 0\nloop r2, r0, 100 {\nadd r1, r1, r2\n}\nmov r0, r1\nret 1\n";

TEST_CASE("a program that was not prepared is interpreted, with the same outcome") {
  const auto engine = must_create();
  const VerifiedProgram program = must_verify(kSum);
  Stage stage;
  const Outcome before = stage.run(*engine, program, {10});
  CHECK_FALSE(engine->is_prepared(program));
  REQUIRE(engine->prepare(program));
  CHECK(engine->is_prepared(program));
  CHECK(stage.run(*engine, program, {10}) == before);
  CHECK(before.results[0] == 45);
}

TEST_CASE("preparing a program twice compiles it once, and a copy is the same program") {
  const auto engine = must_create();
  const VerifiedProgram program = must_verify(kSum);
  const VerifiedProgram copy = program;
  REQUIRE(engine->prepare(program));
  CHECK(engine->is_prepared(copy));
  REQUIRE(engine->prepare(copy));
}

TEST_CASE("contracts are enforced before the first instruction") {
  const auto engine = must_create();
  const VerifiedProgram program = must_verify(kSum);
  REQUIRE(engine->prepare(program));
  Stage stage;
  CHECK(stage.run(*engine, program, {}).code == static_cast<uint16_t>(Refusal::kArgumentCount));
  CHECK(stage.run(*engine, program, {101}).code == static_cast<uint16_t>(Refusal::kArgumentRange));
  stage.regions[0].permission = Permission::kRead;
  const Outcome outcome = stage.run(*engine, program, {10});
  CHECK(outcome.status == Status::kRefused);
  CHECK(outcome.code == static_cast<uint16_t>(Refusal::kRegionUnbound));
  CHECK(outcome.counts == Counts{});
}

TEST_CASE("proofs hold only for regions that are large enough") {
  const auto engine = must_create();
  const VerifiedProgram program = must_verify("ld8 r0, m[128]\nret 1\n");
  REQUIRE(engine->prepare(program));
  Stage stage;
  CHECK(stage.run(*engine, program, {}).status == Status::kOk);
  for (const uint64_t size : {0, 8, 128, 135}) {
    stage.regions[0].size = size;
    const Outcome outcome = stage.run(*engine, program, {});
    CHECK(outcome.status == Status::kFault);
    CHECK(outcome.code == static_cast<uint16_t>(Fault::kRegionBounds));
  }
}

TEST_CASE("compiled code is executable and not writable") {
  const auto code = compile(must_verify(kSum), Checks::kElideProved);
  REQUIRE(code);
  std::ifstream maps("/proc/self/maps");
  bool is_found = false;
  for (std::string line; std::getline(maps, line);) {
    const uint64_t begin = std::stoull(line, nullptr, 16);
    const uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    const auto at = reinterpret_cast<uint64_t>(code->mapping.data());
    if (at < begin || at >= end) continue;
    is_found = true;
    CHECK(line.substr(line.find(' ') + 1, 4) == "r-xp");
  }
  CHECK(is_found);
}

TEST_CASE("programs run on several threads while others are prepared") {
  const auto engine = must_create();
  const VerifiedProgram program = must_verify(kSum);
  std::atomic<int> wrong{0};
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;
  for (int n = 0; n < 2; ++n)
    threads.emplace_back([&] {
      Stage stage;
      do {
        if (stage.run(*engine, program, {10}).results[0] != 45) ++wrong;
      } while (!is_over.load());
    });
  std::vector<VerifiedProgram> others;
  for (int n = 0; n < 40; ++n) {
    others.push_back(must_verify("li r0, " + std::to_string(n) + "\nret 1\n"));
    REQUIRE(engine->prepare(others.back()));
    if (n == 20) REQUIRE(engine->prepare(program));
  }
  Stage stage;
  for (size_t n = 0; n < others.size(); ++n) CHECK(stage.run(*engine, others[n], {}).results[0] == n);
  is_over = true;
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("the largest programs compile") {
  std::string body = "li r1, 0\n";
  for (int n = 0; n < 4000; ++n) body += "addi r1, r1, " + std::to_string(n) + "\n";
  const auto engine = must_create();
  const VerifiedProgram program = must_verify(body + "mov r0, r1\nret 1\n");
  REQUIRE(engine->prepare(program));
  Stage stage;
  CHECK(stage.run(*engine, program, {}).results[0] == 3999 * 4000 / 2);
}

}  // namespace
}  // namespace tiara::nic
