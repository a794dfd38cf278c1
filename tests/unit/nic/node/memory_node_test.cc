#include "nic/node/memory_node.h"

#include <atomic>
#include <thread>

#include <catch2/catch.hpp>

#include "nic/asm/assembler.h"
#include "nic/isa/program.h"

using namespace tiara;
using namespace tiara::nic;

namespace {

std::vector<std::byte> container(std::string_view source) {
  const auto program = assemble(source, "test.tiara");
  if (!program) FAIL(program.error().message);
  return serialize(*program);
}

// Adds two numbers; names no region.
const char* const kAdd = R"(
.operator add
.version 1
.arg a 0 1000
.arg b 0 1000
.results 1
  add r0, r0, r1
  ret 1
)";

// Reads max_pages of the space it is invoked on.
const char* const kLimit = R"(
.operator limit
.version 1
.region space r
.results 1
  ld8 r0, space[16]
  ret 1
)";

// Counts in the data region.
const char* const kCount = R"(
.operator count
.version 1
.region data rwa
.arg at 0 4088 align 8
.results 1
  li  r1, 1
  faa r0, data[r0], r1
  ret 1
)";

std::unique_ptr<MemoryNode> make_node(NodeConfig config = {}) {
  config.pool.size = Bytes{4 * kMiB};
  const auto limit = container(kLimit);
  const std::array<BuiltinOperator, 1> builtins{{{"limit", limit}}};
  auto node = MemoryNode::create(config, builtins);
  if (!node) FAIL(node.error().message);
  return std::move(*node);
}

std::unique_ptr<Session> open(MemoryNode& node) { return std::move(*node.open_session({})); }

wire::InvocationFrame frame(OperatorId operation, AddressSpaceId space, std::initializer_list<uint64_t> arguments) {
  wire::InvocationFrame made;
  made.operation = operation;
  made.space = space;
  for (const uint64_t argument : arguments) made.arguments[made.argument_count++] = argument;
  return made;
}

Refusal refusal_of(const Outcome& outcome) {
  CHECK(outcome.status == Status::kRefused);
  return static_cast<Refusal>(outcome.code);
}

}  // namespace

TEST_CASE("a node runs its own operators on the space of the invocation") {
  const auto node = make_node();
  const auto session = open(*node);
  const OperatorId limit = session->info().operators.at(0).second;
  const AddressSpaceId small = *session->create_space(100);
  const AddressSpaceId big = *session->create_space(1000);
  CHECK(session->invoke(frame(limit, small, {}), {}, {}).results[0] == 100);
  CHECK(session->invoke(frame(limit, big, {}), {}, {}).results[0] == 1000);
  CHECK(refusal_of(session->invoke(frame(limit, {}, {}), {}, {})) == Refusal::kUnknownAddressSpace);
}

TEST_CASE("a session's operator is verified, and its contract is enforced at every invocation") {
  const auto node = make_node();
  const auto session = open(*node);
  const auto add = session->register_operator(container(kAdd));
  REQUIRE(add);
  CHECK(session->invoke(frame(*add, {}, {2, 3}), {}, {}).results[0] == 5);
  CHECK(refusal_of(session->invoke(frame(*add, {}, {2}), {}, {})) == Refusal::kArgumentCount);
  CHECK(refusal_of(session->invoke(frame(*add, {}, {2, 1001}), {}, {})) == Refusal::kArgumentRange);
  CHECK(refusal_of(session->invoke(frame(*add, {{123}}, {2, 3}), {}, {})) == Refusal::kUnknownAddressSpace);
  CHECK(session->counts().refused == 3);
  CHECK(session->counts().invocations == 4);
}

TEST_CASE("what the verifier rejects, or what is no program, is not registered") {
  const auto node = make_node();
  const auto session = open(*node);
  const auto rejected = session->register_operator(
      container(".operator bad\n.version 1\n.results 1\n  mov r0, r5\n  ret 1\n"));
  REQUIRE_FALSE(rejected);
  CHECK(rejected.error().code == ErrorCode::kRejected);
  auto bytes = container(kAdd);
  bytes[bytes.size() / 2] ^= std::byte{1};
  CHECK_FALSE(session->register_operator(bytes));
  CHECK_FALSE(session->register_operator({}));
}

TEST_CASE("the node's regions are for the node's own operators") {
  const auto node = make_node();
  const auto session = open(*node);
  const auto refused = session->register_operator(container(kLimit));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kRejected);
  CHECK(refused.error().message.find("\"space\"") != std::string::npos);
  CHECK_FALSE(session->register_operator(container(".operator x\n.version 1\n.region elsewhere r\n  ret 0\n")));
}

TEST_CASE("a user's operator works on the data region of its address space") {
  const auto node = make_node();
  const auto session = open(*node);
  const OperatorId count = *session->register_operator(container(kCount));
  const AddressSpaceId one = *session->create_space(1);
  const AddressSpaceId two = *session->create_space(1);
  CHECK(refusal_of(session->invoke(frame(count, one, {8}), {}, {})) == Refusal::kRegionUnbound);
  REQUIRE(session->allocate_data(one, Bytes{4096}));
  REQUIRE(session->allocate_data(two, Bytes{10}));  // whole pages
  CHECK_FALSE(session->allocate_data(two, Bytes{4096}));
  for (uint64_t i = 0; i < 3; i++) CHECK(session->invoke(frame(count, one, {8}), {}, {}).results[0] == i);
  CHECK(session->invoke(frame(count, two, {8}), {}, {}).results[0] == 0);
  CHECK(session->invoke(frame(count, one, {16}), {}, {}).results[0] == 0);
  CHECK_FALSE(session->allocate_data({999}, Bytes{4096}));
}

TEST_CASE("data regions share a limit, and give it back") {
  NodeConfig config;
  config.data_limit = Bytes{3 * kPageSize};
  const auto node = make_node(config);
  const auto session = open(*node);
  const AddressSpaceId one = *session->create_space(1);
  const AddressSpaceId two = *session->create_space(1);
  REQUIRE(session->allocate_data(one, Bytes{2 * kPageSize}));
  CHECK_FALSE(session->allocate_data(two, Bytes{2 * kPageSize}));
  CHECK_FALSE(session->allocate_data(two, Bytes{~uint64_t{0}}));
  REQUIRE(session->destroy_space(one));
  CHECK(session->allocate_data(two, Bytes{3 * kPageSize}));
}

TEST_CASE("the same program is registered once and lives as long as somebody holds it") {
  const auto node = make_node();
  auto first = open(*node);
  const auto second = open(*node);
  const OperatorId add = *first->register_operator(container(kAdd));
  CHECK(*second->register_operator(container(kAdd)) == add);
  CHECK(*first->register_operator(container(kAdd)) == add);
  first.reset();
  CHECK(second->invoke(frame(add, {}, {1, 1}), {}, {}).results[0] == 2);
  second->close();
  CHECK(refusal_of(second->invoke(frame(add, {}, {1, 1}), {}, {})) == Refusal::kUnknownOperator);
  const auto third = open(*node);
  const OperatorId again = *third->register_operator(container(kAdd));
  CHECK_FALSE(again == add);  // a stale id names nothing
  CHECK(third->invoke(frame(again, {}, {1, 1}), {}, {}).status == Status::kOk);
}

TEST_CASE("one session cannot take every place for operators") {
  const auto node = make_node();
  const auto session = open(*node);
  const auto numbered = [](uint32_t i) {
    return container(".operator n" + std::to_string(i) + "\n.version 1\n  ret 0\n");
  };
  for (uint32_t i = 0; i < OperatorRegistry::kMaxPerSession; i++) REQUIRE(session->register_operator(numbered(i)));
  const auto refused = session->register_operator(numbered(9999));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kResourceExhausted);
  CHECK(open(*node)->register_operator(numbered(9999)));
}

TEST_CASE("a node that is given a bad operator of its own does not start") {
  const auto pool = container(".operator p\n.version 1\n.region nothing r\n  ret 0\n");
  const std::array<BuiltinOperator, 1> builtins{{{"p", pool}}};
  NodeConfig config;
  config.pool.size = Bytes{4 * kMiB};
  const auto node = MemoryNode::create(config, builtins);
  REQUIRE_FALSE(node);
  CHECK(node.error().message.find("operator p") != std::string::npos);
}

TEST_CASE("all address spaces can be made, no more, and destroyed ones make room") {
  const auto node = make_node();
  const auto session = open(*node);
  std::vector<AddressSpaceId> spaces;
  for (uint32_t i = 0; i < pool::kMaxSpaces; i++) spaces.push_back(*session->create_space(1));
  CHECK(session->create_space(1).error().code == ErrorCode::kResourceExhausted);
  REQUIRE(session->destroy_space(spaces[17]));
  const AddressSpaceId fresh = *session->create_space(1);
  CHECK_FALSE(fresh == spaces[17]);
  CHECK_FALSE(session->destroy_space(spaces[17]));
  session->close();
  CHECK(node->stats().spaces == 0);
}

TEST_CASE("an address space goes away only between invocations") {
  const auto node = make_node();
  const auto session = open(*node);
  const OperatorId limit = session->info().operators.at(0).second;
  std::atomic<uint32_t> current{session->create_space(512)->value};
  std::atomic<bool> is_over{false};
  std::atomic<uint32_t> wrong{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; i++)
    threads.emplace_back([&] {
      while (!is_over) {
        const Outcome outcome = session->invoke(frame(limit, {current}, {}), {}, {});
        const bool gone = outcome.status == Status::kRefused;
        if (!gone && (outcome.status != Status::kOk || outcome.results[0] != 512)) wrong++;
      }
    });
  for (uint32_t i = 0; i < 300; i++) {
    const AddressSpaceId old{current};
    current = session->create_space(512)->value;
    REQUIRE(session->destroy_space(old));
  }
  is_over = true;
  threads.clear();
  CHECK(wrong == 0);
  CHECK(node->stats().spaces == 1);
}

TEST_CASE("figures of a session outlive it in the node's") {
  const auto node = make_node();
  {
    const auto session = open(*node);
    (void)session->invoke(frame({1}, *session->create_space(1), {}), {}, {});
    (void)session->refuse(Refusal::kMalformedFrame);
    CHECK(node->stats().sessions == 1);
    CHECK(node->stats().spaces == 1);
  }
  const NodeStats stats = node->stats();
  CHECK(stats.counts.invocations == 2);
  CHECK(stats.counts.refused == 1);
  CHECK(stats.sessions == 0);
  CHECK(stats.sessions_opened == 1);
  CHECK(stats.spaces == 0);
}
