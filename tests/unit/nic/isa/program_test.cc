#include <catch2/catch.hpp>

#include <random>

#include "nic/isa/program.h"
#include "runtime/base/hash.h"

namespace tiara::nic {
namespace {

Program sample() {
  Program program;
  program.name = "pt_read";
  program.version = 3;
  program.regions = {{"pool", Permission::kReadWrite, true, false}, {"peer", Permission::kAtomic, false, true}};
  program.arguments = {{"first", 0, 0xfffffffff, 0}, {"offset", 64, 4096, 63}};
  program.results = 2;
  program.scratchpad_bytes = 128;
  program.declared = {1000, 4096};
  program.code = {{.opcode = Opcode::kLd8, .rd = 2, .rs1 = 1, .imm = -8}, {.opcode = Opcode::kRet, .imm = 2}};
  return program;
}

TEST_CASE("a program survives its container") {
  const Program program = sample();
  const auto bytes = serialize(program);
  const auto back = deserialize(bytes);
  REQUIRE(back);
  CHECK(*back == program);
  CHECK(content_hash(*back) == content_hash(program));
}

TEST_CASE("every truncation and every trailing byte is refused") {
  const auto bytes = serialize(sample());
  for (size_t length = 0; length < bytes.size(); ++length)
    REQUIRE_FALSE(deserialize(std::span(bytes).first(length)));
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK_FALSE(deserialize(longer));
}

TEST_CASE("every flipped bit is refused") {
  const auto bytes = serialize(sample());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] ^= std::byte{1} << bit % 8;
    REQUIRE_FALSE(deserialize(flipped));
  }
}

// Recomputes the trailing hash so that the decoder behind it is reached.
std::vector<std::byte> rehash(std::vector<std::byte> bytes) {
  const uint64_t hash = hash_bytes(std::span(bytes).first(bytes.size() - 8));
  for (size_t i = 0; i < 8; ++i) bytes[bytes.size() - 8 + i] = static_cast<std::byte>(hash >> (8 * i));
  return bytes;
}

TEST_CASE("a decoder behind a right hash is still total: random damage never yields a malformed program") {
  std::mt19937_64 random(7);
  const auto bytes = serialize(sample());
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    auto damaged = bytes;
    for (uint64_t n = random() % 4; n-- > 0;)
      damaged[8 + random() % (damaged.size() - 16)] = static_cast<std::byte>(random());
    if (random() % 4 == 0) damaged.resize(16 + random() % damaged.size());
    const auto program = deserialize(rehash(damaged));
    if (!program) continue;
    ++accepted;
    REQUIRE(check_well_formed(*program));
    REQUIRE(serialize(*program).size() <= kMaxContainerBytes);
  }
  CHECK(accepted > 0);
}

TEST_CASE("limits and names are checked") {
  const auto refuses = [](auto&& change) {
    Program program = sample();
    change(program);
    return !check_well_formed(program);
  };
  CHECK(refuses([](Program& p) { p.name = ""; }));
  CHECK(refuses([](Program& p) { p.name = "9lives"; }));
  CHECK(refuses([](Program& p) { p.name = std::string(64, 'a'); }));
  CHECK(refuses([](Program& p) { p.regions[1].name = "pool"; }));
  CHECK(refuses([](Program& p) { p.regions[1].permission = Permission::kNone; }));
  CHECK(refuses([](Program& p) { p.regions[1].permission = Permission{9}; }));
  CHECK(refuses([](Program& p) { p.arguments[1].name = "first"; }));
  CHECK(refuses([](Program& p) { p.arguments[0] = {"first", 2, 1, 0}; }));
  CHECK(refuses([](Program& p) { p.arguments.resize(9, {"x"}); }));
  CHECK(refuses([](Program& p) { p.results = 5; }));
  CHECK(refuses([](Program& p) { p.scratchpad_bytes = 4097; }));
  CHECK(refuses([](Program& p) { p.code.clear(); }));
  CHECK(refuses([](Program& p) { p.code.resize(4097, {.opcode = Opcode::kWait}); }));
  CHECK(refuses([](Program& p) { p.code[0].opcode = Opcode{0}; }));
  CHECK(refuses([](Program& p) { p.code[0].rs2 = 1; }));
}

}  // namespace
}  // namespace tiara::nic
