// What compiled programs do, on the interpreter and behind the verifier.
#include <cstring>
#include <random>

#include "nic/engine/interpreter.h"
#include "nic/verifier/verified_program.h"
#include "tests/unit/nic/cc/compile.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::cc;

namespace {

VerifiedProgram verified(const Program& program) {
  auto result = verify(program);
  INFO(program.name);
  REQUIRE(result.has_value());
  return std::move(*result);
}

VerifiedProgram compile_and_verify(const std::string& text, const std::string& extra = {}) {
  auto made = translate(compile_text(text, extra));
  INFO((made ? "" : made.error().message));
  REQUIRE(made.has_value());
  return verified(made->program);
}

// 4 KiB of data, its first word i is i * i.
struct World {
  alignas(64) std::array<uint64_t, 512> data{};
  std::vector<std::byte> reply;
  World() {
    for (uint64_t i = 0; i < data.size(); ++i) data[i] = i * i;
  }
  Outcome run(const VerifiedProgram& program, std::vector<uint64_t> arguments) {
    static Interpreter engine;
    RegionTable regions{};
    regions[0] = {reinterpret_cast<std::byte*>(data.data()), sizeof data,
                  Permission::kReadWriteAtomic};
    reply.assign(program.bounds().reply_bytes, std::byte{0});
    return engine.run(program, {regions, arguments, {}, reply});
  }
};

const std::string kHead = R"(#include "tiara_op.h"
TIARA_OPERATOR(subject, 3, .reply_bytes = 4096, .scratchpad_bytes = 64);
TIARA_REGION(0, data, TIARA_READ | TIARA_WRITE | TIARA_ATOMIC);
TIARA_ARGUMENT(0, a, 0, 100, 0);
TIARA_ARGUMENT(1, b, 0, ~0ull, 0);
)";

uint32_t count(const Program& program, Opcode opcode) {
  uint32_t found = 0;
  for (const Instruction& instruction : program.code) found += instruction.opcode == opcode;
  return found;
}

}  // namespace

TEST_CASE("declarations become the program's header") {
  const Program program =
      compile_and_verify(kHead + "u64 subject(u64 a, u64 b) { return a + b; }").program();
  CHECK(program.name == "subject");
  CHECK(program.version == 3);
  REQUIRE(program.regions.size() == 1);
  CHECK(program.regions[0].name == "data");
  CHECK(program.regions[0].permission == Permission::kReadWriteAtomic);
  REQUIRE(program.arguments.size() == 2);
  CHECK(program.arguments[0].max == 100);
  CHECK(program.declared.max_reply_bytes == 4096);
  CHECK(program.scratchpad_bytes == 64);
  CHECK(program.results == 1);
}

TEST_CASE("a sum over a loop is one load and one addition a turn") {
  const auto program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 sum = 0;
    TIARA_LOOP(i, a, 100) sum += tiara_ld8(data, b + i * 8);
    return sum;
  })");
  World world;
  const Outcome outcome = world.run(program, {10, 0});
  CHECK(outcome.status == Status::kOk);
  CHECK(outcome.results[0] == 285);
  CHECK(outcome.counts.steps <= 10 * 3 + 5);  // ld8x, add, endloop
}

TEST_CASE("break, continue and return leave loops as they do in C") {
  const auto program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 sum = 0;
    TIARA_LOOP(i, a, 100) {
      TIARA_LOOP(j, i, 100) {
        if (j == b) break;
        if (j & 1) continue;
        if (tiara_ld8(data, j * 8) > 2000) return sum | 1ull << 63;
        sum += j;
      }
      sum += 1000;
    }
    return sum;
  })");
  for (const uint64_t a : {0, 1, 7, 40, 60, 100}) {
    for (const uint64_t b : {0, 5, 1000}) {
      World world;
      uint64_t expected = 0;
      bool has_returned = false;
      for (uint64_t i = 0; i < a && !has_returned; ++i) {
        for (uint64_t j = 0; j < i && !has_returned; ++j) {
          if (j == b) break;
          if (j & 1) continue;
          if (j * j > 2000)
            has_returned = true;
          else
            expected += j;
        }
        if (!has_returned) expected += 1000;
      }
      const Outcome outcome = world.run(program, {a, b});
      CHECK(outcome.status == Status::kOk);
      CHECK(outcome.results[0] == (has_returned ? expected | 1ull << 63 : expected));
    }
  }
}

TEST_CASE("more turns than a loop's bound are a fault") {
  const auto program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 sum = 0;
    TIARA_LOOP(i, a, 50) sum += tiara_ld8(data, i * 8);
    return sum;
  })");
  World world;
  CHECK(world.run(program, {50, 0}).status == Status::kOk);
  const Outcome outcome = world.run(program, {51, 0});
  CHECK(outcome.status == Status::kFault);
  CHECK(outcome.code == static_cast<uint16_t>(Fault::kLoopBound));
}

TEST_CASE("local arrays live in the scratchpad, behind what the operator asked for") {
  const auto program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 histogram[8] = {0};
    tiara_pad_st8(0, 77);
    TIARA_LOOP(i, a, 100) histogram[tiara_ld8(data, i * 8) & 7] += 1;
    u64 all = tiara_pad_ld8(0);
    TIARA_LOOP(k, 8, 8) all = all * 100 + histogram[k];
    return all;
  })");
  World world;
  uint64_t histogram[8] = {}, expected = 77;
  for (uint64_t i = 0; i < 90; ++i) ++histogram[i * i & 7];
  for (const uint64_t each : histogram) expected = expected * 100 + each;
  CHECK(world.run(program, {90, 0}).results[0] == expected);
  CHECK(program.program().scratchpad_bytes > 64);
}

TEST_CASE("a list of offsets in a local array can be gathered") {
  const auto program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 list[4];
    list[0] = 80; list[1] = 8; list[2] = a * 8; list[3] = 0;
    tiara_gather_list(data, 0, (u64)list, 4, 8);
    return 0;
  })");
  World world;
  const Outcome outcome = world.run(program, {5, 0});
  REQUIRE(outcome.status == Status::kOk);
  REQUIRE(outcome.reply_bytes == 32);
  uint64_t words[4];
  std::memcpy(words, world.reply.data(), sizeof words);
  CHECK(words[0] == 100);
  CHECK(words[1] == 1);
  CHECK(words[2] == 25);
  CHECK(words[3] == 0);
}

TEST_CASE("variables that do not fit the registers are spilled, and the sums are still right") {
  std::string text = kHead + "u64 subject(u64 a, u64 b) {\n";
  for (int i = 0; i < 24; ++i)
    text +=
        "  u64 v" + std::to_string(i) + " = tiara_ld8(data, b + " + std::to_string(i * 8) + ");\n";
  text += "  TIARA_LOOP(i, a, 100) {\n";
  for (int i = 0; i < 24; ++i)
    text += "    v" + std::to_string(i) + " += v" + std::to_string((i * 7 + 1) % 24) + " ^ i;\n";
  text += "  }\n  u64 all = 0;\n";
  for (int i = 0; i < 24; ++i) text += "  all = all * 31 + v" + std::to_string(i) + ";\n";
  const auto program = compile_and_verify(text + "  return all;\n}\n");
  CHECK(program.program().scratchpad_bytes > 64);
  World world;
  uint64_t v[24], all = 0;
  for (uint64_t i = 0; i < 24; ++i) v[i] = i * i;
  for (uint64_t turn = 0; turn < 20; ++turn)
    for (uint64_t i = 0; i < 24; ++i) v[i] += v[(i * 7 + 1) % 24] ^ turn;
  for (const uint64_t each : v) all = all * 31 + each;
  CHECK(world.run(program, {20, 0}).results[0] == all);
}

TEST_CASE("a page table's index is one instruction with its load") {
  const Program program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    return tiara_ld8(data, a * 64 + (b >> 21 & 31) * 8);
  })")
                              .program();
  CHECK(count(program, Opcode::kLd8x) == 1);
  CHECK(program.code.size() == 3);  // shli, ld8x, ret
}

TEST_CASE("smaller, larger and comparisons need no branch") {
  const Program program = compile_and_verify(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 least = a < b ? a : b;
    u64 most = (s64)a > (s64)b ? a : b;
    tiara_ret3(least, most, a == 7);
  })")
                              .program();
  CHECK(count(program, Opcode::kMin) == 1);
  CHECK(count(program, Opcode::kMaxs) == 1);
  CHECK(count(program, Opcode::kSeteqi) == 1);
  CHECK(program.code.size() <= 6);
}

TEST_CASE("arguments beyond the fifth come by number") {
  std::string text = "#include \"tiara_op.h\"\nTIARA_OPERATOR(subject, 1);\n";
  for (int i = 0; i < 8; ++i)
    text += "TIARA_ARGUMENT(" + std::to_string(i) + ", a" + std::to_string(i) + ", 0, ~0ull, 0);\n";
  text +=
      "u64 subject(u64 a, u64 b, u64 c, u64 d, u64 e) {\n"
      "  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * tiara_argument(5) + 7 * tiara_argument(6) "
      "+ 8 * tiara_argument(7);\n}\n";
  const auto program = compile_and_verify(text);
  Interpreter engine;
  const RegionTable regions{};
  const std::vector<uint64_t> arguments{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
  CHECK(engine.run(program, {regions, arguments, {}, {}}).results[0] == 87654321);
}

TEST_CASE("code for newer BPF, with 32-bit instructions, means the same") {
  const std::string text = kHead + R"(u64 subject(u64 a, u64 b) {
    u32 x = (u32)b, y = (u32)a + 3;
    s32 z = (s32)x >> (y & 31);
    if ((s32)x < -5) y *= 3;
    if (x > y) x -= y; else x = ~x;
    tiara_ret4(x, y, (u32)z, x << (a & 31) | x / (y | 1));
  })";
  const auto old_program = compile_and_verify(text);
  const auto new_program = compile_and_verify(text, "-mcpu=v3");
  std::mt19937_64 random(5);
  for (int i = 0; i < 200; ++i) {
    const std::vector<uint64_t> arguments{random() % 101, random() >> (random() % 64)};
    World world;
    CHECK(world.run(old_program, arguments).results == world.run(new_program, arguments).results);
  }
}

TEST_CASE("every instruction keeps the line that it comes from") {
  const auto made = translate(
      compile_text(kHead + "u64 subject(u64 a, u64 b) {\n  return tiara_ld8(data, b);\n}\n"));
  REQUIRE(made.has_value());
  REQUIRE(made->lines.size() == made->program.code.size());
  CHECK(made->lines[0].find("subject.c:7") != std::string::npos);
}

TEST_CASE("damaged objects are refused or give a well-formed program") {
  const std::vector<std::byte> sound = compile_text(kHead + R"(u64 subject(u64 a, u64 b) {
    u64 sum = 0, list[4] = {0};
    TIARA_LOOP(i, a, 50) {
      if (tiara_ld8(data, i * 8) == b) break;
      list[i & 3] += sum += tiara_ld8(data, b + i * 8);
    }
    return sum + list[b & 3];
  })");
  REQUIRE(translate(sound).has_value());
  // Most of an object is names and debug information: damage is aimed at the code, the tables and
  // the declarations.
  std::mt19937_64 random(77);
  uint32_t accepted = 0;
  for (int round = 0; round < 1500; ++round) {
    std::vector<std::byte> object = sound;
    for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
      const bool in_code = random() % 2 == 0;
      const size_t at = in_code ? 64 + random() % 1024 : random() % object.size();
      object[at] = random() % 4 == 0 ? std::byte{0xff} : static_cast<std::byte>(random());
    }
    if (random() % 8 == 0) object.resize(random() % object.size());
    const auto made = translate(object);
    if (!made) continue;
    ++accepted;
    REQUIRE(check_well_formed(made->program).has_value());
  }
  CHECK(accepted > 0);
}
