// The NIC from the outside: frames on its stream, memory behind its bus, registers of its host.
#include <catch2/catch.hpp>

#include <cstring>
#include <map>

#include "nic/asm/assembler.h"
#include "nic/rtl/dv/nic_model.h"
#include "nic/rtl/rtl_engine.h"
#include "nic/verifier/verified_program.h"
#include "nic/wire/frame.h"

namespace tiara::nic::rtl {
namespace {

constexpr wire::NetworkAddress kNic{0x02000000aa01, 0x0a000001, 4791};
constexpr LoadKey kKey{0x1122334455667788, 0x99aabbccddeeff00};
constexpr uint32_t kFew = 3000;  // cycles in which anything short is over

wire::NetworkAddress address_of(uint32_t client) {
  return {uint64_t{0x02000000bb00} + client, 0x0a000100 + client, 5000};
}

VerifiedProgram program_of(const std::string& text) {
  auto program = assemble(".operator t\n" + text, "t");
  if (!program) FAIL(program.error().message);
  auto verified = verify(std::move(*program));
  if (!verified) FAIL(to_string(verified.error()));
  return *verified;
}

struct Answer {
  wire::ReplyFrame reply;
  std::vector<std::byte> bytes;
  uint32_t pieces = 0;
};

// A NIC with four operators over some memory for client 0 of tenant 1: 0 adds r1 to the word at r0, at most 4000;
// 1 appends r1 bytes from r0; 2 writes the payload to offset 0; 3 turns r0 times.
struct Bench {
  Bench() : nic({3, 30, 5, 5, 11}, kNic, kKey) {
    opened = nic.open_range(memory.data(), memory.size());
    nic.set_region(1, 0, {memory.data(), memory.size(), Permission::kReadWriteAtomic}, 1);
    for (uint32_t i = 0; i < 4; ++i) {
      REQUIRE(nic.load(make_image(programs[i], i, 4 * i, kKey), i));
      nic.bind(i, 1, 1);
    }
    REQUIRE(nic.open_client(0, address_of(0), 1));
  }

  wire::InvocationFrame frame_of(uint32_t operation, std::vector<uint64_t> arguments, uint64_t payload = 0) {
    wire::InvocationFrame frame;
    frame.request_id = 7;
    frame.tenant = {1};
    frame.operation = {operation};
    frame.space = {1};
    frame.payload_bytes = static_cast<uint32_t>(payload);
    frame.reply_room = kMaxReplyBytes;
    frame.argument_count = static_cast<uint32_t>(arguments.size());
    std::copy(arguments.begin(), arguments.end(), frame.arguments.begin());
    return frame;
  }
  wire::Piece piece_of(const wire::InvocationFrame& frame, uint64_t sequence, uint32_t number = 0,
                       std::span<const std::byte> payload = {}) {
    wire::Piece piece;
    piece.sequence = sequence;
    piece.piece = static_cast<uint16_t>(number);
    piece.pieces = static_cast<uint16_t>(wire::pieces_of(frame.payload_bytes));
    wire::encode(frame, piece.frame);
    const auto rest = payload.subspan(std::min<size_t>(number * 4096, payload.size()));
    piece.bytes = rest.first(std::min<size_t>(rest.size(), 4096));
    return piece;
  }
  void send(const wire::Piece& piece, uint32_t client = 0) {
    wire::Piece copy = piece;
    copy.client = static_cast<uint16_t>(client);
    nic.send(wire::encode_ethernet(address_of(client), kNic, copy));
  }
  void run(uint32_t cycles = kFew) {
    for (uint32_t i = 0; i < cycles; ++i) nic.tick();
    while (const auto bytes = nic.receive()) {
      for (uint32_t client = 0; client < 8; ++client) {
        wire::NetworkAddress from;
        const auto piece = wire::decode_ethernet(*bytes, address_of(client), from);
        if (!piece) continue;
        REQUIRE(from == kNic);
        REQUIRE(piece->client == client);
        Answer& answer = answers[{client, piece->sequence}];
        REQUIRE(wire::decode(piece->frame, answer.reply) == wire::DecodeStatus::kOk);
        answer.bytes.resize(answer.reply.outcome.reply_bytes);
        REQUIRE(piece->piece * 4096 + piece->bytes.size() <= answer.bytes.size());
        if (!piece->bytes.empty())
          std::memcpy(answer.bytes.data() + piece->piece * 4096, piece->bytes.data(), piece->bytes.size());
        ++answer.pieces;
        order.push_back(client);
      }
    }
  }
  Outcome ask(const wire::InvocationFrame& frame, uint64_t sequence) {
    send(piece_of(frame, sequence));
    run();
    REQUIRE(answers.count({0, sequence}) == 1);
    return answers[{0, sequence}].reply.outcome;
  }
  uint64_t word(uint64_t offset) {
    uint64_t value;
    std::memcpy(&value, memory.data() + offset, 8);
    return value;
  }

  alignas(64) std::array<std::byte, 64 * 1024> memory{};
  std::array<VerifiedProgram, 4> programs{
      program_of(".region m rwa\n.arg at 0 4000 align 8\n.arg by 0 1000\n.results 1\n  faa r0, m[r0], r1\n  ret 1\n"),
      program_of(".region m r\n.arg at 0 1000\n.arg bytes 0 20000\n.reply 20000\n  gather m[r0], r1\n  ret 0\n"),
      program_of(".region m w\n  plen r1\n  li r0, 0\n  scatter m[r0], r0, r1\n  ret 0\n"),
      program_of(".region m r\n.arg times 0 1000\n.reg i r3\n  loop i, r0, 1000 {\n    li r1, 1\n  }\n  ret 0\n")};
  NicModel nic;
  NicModel::RangeId opened = 0;
  std::map<std::pair<uint32_t, uint64_t>, Answer> answers;
  std::vector<uint32_t> order;  // clients, as their frames came
};

TEST_CASE("siphash gives the published vectors") {
  const LoadKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  CHECK(siphash(key, {}) == 0x726fdb47dd0e0e31);
  const uint64_t words[] = {0x0706050403020100};
  CHECK(siphash(key, words) == 0x93f5f5799a932462);
}

TEST_CASE("an operator runs only when its tag is right") {
  Bench bench;
  OperatorImage image = make_image(bench.programs[0], 5, 20, kKey);
  SECTION("a wrong tag") { ++image.tag; }
  SECTION("another program under a good tag") { image.words.back() ^= 1; }
  SECTION("another number") {
    CHECK_FALSE(bench.nic.load(image, 6));
    CHECK(bench.nic.load(image, 5));
    return;
  }
  SECTION("another key") { image = make_image(bench.programs[0], 5, 20, {1, 2}); }
  SECTION("a place that an operator has") { image = make_image(bench.programs[0], 5, 4, kKey); }
  SECTION("a number that is taken") {
    CHECK_FALSE(bench.nic.load(make_image(bench.programs[1], 0, 20, kKey), 0));
    CHECK(bench.ask(bench.frame_of(0, {8, 3}), 0).status == Status::kOk);
    CHECK(bench.word(8) == 3);
    return;
  }
  CHECK_FALSE(bench.nic.load(image, 5));
  bench.nic.bind(5, 1, 1);
  const Outcome outcome = bench.ask(bench.frame_of(5, {8, 3}), 0);
  CHECK(outcome.status == Status::kRefused);
  CHECK(outcome.code == static_cast<uint16_t>(Refusal::kUnknownOperator));
  CHECK(bench.ask(bench.frame_of(0, {8, 3}), 1).status == Status::kOk);  // the others are as they were
}

TEST_CASE("an operator that was unloaded is unknown, and its place is free") {
  Bench bench;
  CHECK(bench.nic.unload(0));
  CHECK(bench.ask(bench.frame_of(0, {8, 3}), 0).code == static_cast<uint16_t>(Refusal::kUnknownOperator));
  CHECK(bench.nic.load(make_image(bench.programs[0], 9, 0, kKey), 9));
  bench.nic.bind(9, 1, 1);
  CHECK(bench.ask(bench.frame_of(9, {8, 3}), 1).status == Status::kOk);
  CHECK(bench.word(8) == 3);
}

TEST_CASE("what breaks a contract is refused with its reason and does not run") {
  Bench bench;
  wire::InvocationFrame frame = bench.frame_of(0, {8, 3});
  Refusal wanted = Refusal::kNone;
  SECTION("operator") { frame.operation = {17}; wanted = Refusal::kUnknownOperator; }
  SECTION("operator beyond the table") { frame.operation = {32}; wanted = Refusal::kUnknownOperator; }
  SECTION("space") { frame.space = {2}; wanted = Refusal::kUnknownAddressSpace; }
  SECTION("space beyond the table") { frame.space = {33}; wanted = Refusal::kUnknownAddressSpace; }
  SECTION("tenant") { frame.tenant = {2}; wanted = Refusal::kNotAuthorised; }
  SECTION("count") { frame = bench.frame_of(0, {8}); wanted = Refusal::kArgumentCount; }
  SECTION("too large") { frame = bench.frame_of(0, {4008, 3}); wanted = Refusal::kArgumentRange; }
  SECTION("not aligned") { frame = bench.frame_of(0, {9, 3}); wanted = Refusal::kArgumentRange; }
  SECTION("the second") { frame = bench.frame_of(0, {8, 1001}); wanted = Refusal::kArgumentRange; }
  const Outcome outcome = bench.ask(frame, 3);
  CHECK(outcome.status == Status::kRefused);
  CHECK(outcome.code == static_cast<uint16_t>(wanted));
  CHECK(bench.answers[{0, 3}].reply.request_id == 7);
  CHECK(bench.word(8) == 0);
  CHECK(bench.nic.figures().refused == 1);
  CHECK(bench.nic.figures().run == 0);
}

TEST_CASE("frames that are harmed, strange or of a wrong length are dropped and counted") {
  Bench bench;
  wire::Piece piece = bench.piece_of(bench.frame_of(0, {8, 3}), 0);
  std::vector<std::byte> frame = wire::encode_ethernet(address_of(0), kNic, piece);
  const auto figure = [&](uint32_t NicFigures::*member) {
    bench.nic.send(frame);
    bench.run();
    return bench.nic.figures().*member;
  };
  const auto flip = [&](size_t at) { frame[at] ^= std::byte{4}; };
  SECTION("to another machine") { flip(5); CHECK(figure(&NicFigures::foreign) == 1); }
  SECTION("to another port") { flip(37); CHECK(figure(&NicFigures::foreign) == 1); }
  SECTION("a fragment") { frame[20] = std::byte{0x20}; CHECK(figure(&NicFigures::foreign) == 1); }
  SECTION("of another protocol") { flip(42); CHECK(figure(&NicFigures::foreign) == 1); }
  SECTION("header checksum") { flip(24); CHECK(figure(&NicFigures::checksum) == 1); }
  SECTION("sender's address") { flip(29); CHECK(figure(&NicFigures::checksum) == 1); }
  SECTION("UDP checksum") { flip(100); CHECK(figure(&NicFigures::checksum) == 1); }
  SECTION("no UDP checksum") { frame[40] = frame[41] = std::byte{}; CHECK(figure(&NicFigures::checksum) == 1); }
  SECTION("cut") { frame.pop_back(); CHECK(figure(&NicFigures::length) == 1); }
  SECTION("too long") { frame.push_back(std::byte{}); CHECK(figure(&NicFigures::length) == 1); }
  SECTION("one line") { frame.resize(60); CHECK(figure(&NicFigures::length) == 1); }
  SECTION("much too long") { frame.resize(12000); CHECK(figure(&NicFigures::length) == 1); }
  SECTION("a bad invocation") {
    piece.frame[120] ^= std::byte{1};
    frame = wire::encode_ethernet(address_of(0), kNic, piece);
    CHECK(figure(&NicFigures::malformed) == 1);
  }
  SECTION("more pieces than the payload has") {
    piece.pieces = 2;
    frame = wire::encode_ethernet(address_of(0), kNic, piece);
    CHECK(figure(&NicFigures::malformed) == 1);
  }
  SECTION("an unknown client") {
    piece.client = 1;
    frame = wire::encode_ethernet(address_of(0), kNic, piece);
    CHECK(figure(&NicFigures::strangers) == 1);
  }
  SECTION("a client from elsewhere") {
    frame = wire::encode_ethernet(address_of(1), kNic, piece);
    CHECK(figure(&NicFigures::strangers) == 1);
  }
  CHECK(bench.answers.empty());
  CHECK(bench.word(8) == 0);
  CHECK(bench.ask(bench.frame_of(0, {8, 3}), 0).status == Status::kOk);  // the good one passes
  CHECK(bench.word(8) == 3);
}

TEST_CASE("a request that comes again is answered again and runs once") {
  Bench bench;
  const wire::Piece piece = bench.piece_of(bench.frame_of(0, {8, 3}), 40);
  for (int i = 0; i < 3; ++i) {
    bench.send(piece);
    bench.send(piece);
    bench.run();
  }
  CHECK(bench.word(8) == 3);
  CHECK(bench.answers[{0, 40}].pieces >= 3);
  CHECK(bench.answers[{0, 40}].reply.outcome.results[0] == 0);
  const NicFigures figures = bench.nic.figures();
  CHECK(figures.run == 1);
  CHECK(figures.done == 1);
  CHECK(figures.replayed + figures.duplicates == 5);

  // The next number of the slot; then the old one is stale.
  CHECK(bench.ask(bench.frame_of(0, {8, 3}), 72).results[0] == 3);
  bench.send(piece);
  bench.run();
  CHECK(bench.word(8) == 6);
  CHECK(bench.nic.figures().stale == 1);
  // The same number for another request is nobody's.
  bench.send(bench.piece_of(bench.frame_of(0, {8, 5}), 72));
  bench.run();
  CHECK(bench.word(8) == 6);
  CHECK(bench.nic.figures().stale == 2);
}

TEST_CASE("a client that is opened anew begins at any number") {
  Bench bench;
  CHECK(bench.ask(bench.frame_of(0, {8, 3}), 1000).status == Status::kOk);
  bench.nic.close_client(0);
  bench.send(bench.piece_of(bench.frame_of(0, {8, 3}), 1032));
  bench.run();
  CHECK(bench.nic.figures().strangers == 1);
  REQUIRE(bench.nic.open_client(0, address_of(0), 1));
  CHECK(bench.ask(bench.frame_of(0, {8, 3}), 8).status == Status::kOk);
  CHECK(bench.word(8) == 6);
}

TEST_CASE("a payload of many pieces comes in any order and more than once") {
  Bench bench;
  std::vector<std::byte> payload(10'001);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 7 + i / 256);
  const wire::InvocationFrame frame = bench.frame_of(2, {}, payload.size());
  for (const uint32_t number : {2u, 0u, 2u, 0u}) bench.send(bench.piece_of(frame, 1, number, payload));
  bench.run();
  CHECK(bench.answers.empty());
  bench.send(bench.piece_of(frame, 1, 1, payload));
  bench.run();
  REQUIRE(bench.answers.size() == 1);
  CHECK(bench.answers[{0, 1}].reply.outcome.status == Status::kOk);
  CHECK(bench.answers[{0, 1}].reply.outcome.counts.bytes_moved == payload.size());
  CHECK(std::memcmp(bench.memory.data(), payload.data(), payload.size()) == 0);
  CHECK(bench.memory[payload.size()] == std::byte{});
}

TEST_CASE("a long reply comes in pieces") {
  Bench bench;
  for (size_t i = 0; i < bench.memory.size(); ++i) bench.memory[i] = static_cast<std::byte>(i * 5 + i / 256);
  for (const uint64_t bytes : {0u, 1u, 63u, 64u, 4096u, 4097u, 20'000u}) {
    const uint64_t sequence = bytes + 100'000 - bytes % 32 + bytes % 7;
    const Outcome outcome = bench.ask(bench.frame_of(1, {321, bytes}), sequence);
    CHECK(outcome.status == Status::kOk);
    REQUIRE(outcome.reply_bytes == bytes);
    CHECK(bench.answers[{0, sequence}].pieces == wire::pieces_of(bytes));
    CHECK(std::memcmp(bench.answers[{0, sequence}].bytes.data(), bench.memory.data() + 321, bytes) == 0);
  }
}

TEST_CASE("a tenant with many requests does not keep another's from its turn") {
  Bench bench;
  REQUIRE(bench.nic.open_client(1, address_of(1), 1, 1));
  // More than the contexts: what client 0 has sent waits; client 1's only request does not wait for all of it.
  for (uint64_t i = 0; i < 32; ++i) bench.send(bench.piece_of(bench.frame_of(3, {1000}), i));
  bench.send(bench.piece_of(bench.frame_of(3, {1}), 0), 1);
  for (int i = 0; i < 200 && bench.answers.size() < 33; ++i) bench.run();
  REQUIRE(bench.answers.size() == 33);
  const auto found = std::find(bench.order.begin(), bench.order.end(), 1u);
  REQUIRE(found != bench.order.end());
  // The 16 contexts were taken when it came, and it is the next but one at most.
  CHECK(found - bench.order.begin() <= 17);
}

TEST_CASE("what the table cache keeps is what memory has, whoever wrote it") {
  // Both have the word at 8 in a region that may be cached: one adds it up many times, the other counts it up between.
  const VerifiedProgram sum = program_of(
      ".region table r cacheable\n.arg times 0 1000\n.reg i r3\n.results 1\n  li r1, 0\n"
      "  loop i, r0, 1000 {\n    ld8 r2, table[8]\n    add r1, r1, r2\n  }\n  mov r0, r1\n  ret 1\n");
  const VerifiedProgram count = program_of(
      ".region table rwa cacheable\n.results 2\n  ld8 r2, table[8]\n  li r1, 1\n  faa r0, table[8], r1\n"
      "  ld8 r1, table[8]\n  ret 2\n");
  RtlEngine engine({3, 30, 5, 5, 13});
  alignas(64) std::array<uint64_t, 16> table{};
  RegionTable read{}, change{};
  read[0] = {reinterpret_cast<std::byte*>(table.data()), sizeof table, Permission::kRead};
  change[0] = {reinterpret_cast<std::byte*>(table.data()), sizeof table, Permission::kReadWriteAtomic};
  const uint64_t times[] = {1000};
  for (uint64_t round = 1; round <= 5; ++round) {
    table[1] = round * 100;  // the host, between two runs
    Outcome outcome = engine.run(sum, {read, times, {}, {}});
    REQUIRE(outcome.status == Status::kOk);
    CHECK(outcome.results[0] == round * 100'000);
    outcome = engine.run(count, {change, {}, {}, {}});
    REQUIRE(outcome.status == Status::kOk);
    CHECK(outcome.results[0] == round * 100);
    CHECK(outcome.results[1] == round * 100 + 1);
    outcome = engine.run(sum, {read, times, {}, {}});
    CHECK(outcome.results[0] == (round * 100 + 1) * 1000);
  }
  CHECK(engine.figures().hits > 5000);
}

TEST_CASE("memory that was not opened stops the NIC, not the process") {
  Bench bench;
  bench.nic.close_range(bench.opened);
  bench.send(bench.piece_of(bench.frame_of(0, {8, 3}), 0));
  bench.run();
  CHECK(bench.nic.has_bus_error());
  CHECK(bench.answers.empty());
}

}  // namespace
}  // namespace tiara::nic::rtl
