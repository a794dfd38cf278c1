#include "nic/transport/fault_injector.h"

#include <bit>

#include "nic/timing/engine_timing.h"
#include "runtime/os/clock.h"
#include "tests/unit/nic/transport/test_node.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::testing;
using namespace std::chrono_literals;

namespace {

struct Faulty {
  explicit Faulty(const FaultPlan& plan)
      : link(Link::Kind::kLoop), channel(link.connect(), plan), echo(operator_named(channel, "echo")),
        space(*channel.create_space(1)) {}
  Request request() const { return {echo, space, {}, parts}; }
  // How many of `count` replies came back with exactly one bit wrong; any other difference fails.
  std::vector<bool> corrupted(uint32_t count) {
    std::vector<bool> which;
    for (uint32_t i = 0; i < count; i++) {
      std::array<std::byte, 64> room{};
      REQUIRE(channel.call(request(), room).call == CallStatus::kAnswered);
      int wrong_bits = 0;
      for (size_t at = 0; at < room.size(); at++)
        wrong_bits += std::popcount(static_cast<uint8_t>(room[at] ^ bytes[at]));
      REQUIRE(wrong_bits <= 1);
      which.push_back(wrong_bits == 1);
    }
    return which;
  }
  Link link;
  FaultInjector channel;
  OperatorId echo;
  AddressSpaceId space;
  std::array<std::byte, 64> bytes{};
  std::array<std::span<const std::byte>, 1> parts{bytes};
};

FaultPlan plan_of(std::string_view text) {
  const auto plan = parse_fault_plan(text);
  if (!plan) FAIL(plan.error().message);
  return *plan;
}

}  // namespace

TEST_CASE("a delay is paid both ways, by calls and by posted requests") {
  Faulty faulty(plan_of("one_way=2ms"));
  std::array<std::byte, 64> room{};
  auto start = os::monotonic_now();
  CHECK(faulty.channel.call(faulty.request(), room).outcome.reply_bytes == 64);
  CHECK(os::monotonic_now() - start >= 4ms);
  start = os::monotonic_now();
  const Ticket one = faulty.channel.post(faulty.request(), room);
  const Ticket two = faulty.channel.post(faulty.request(), room);
  CHECK(faulty.channel.collect(one).outcome.reply_bytes == 64);
  CHECK(faulty.channel.collect(two).outcome.reply_bytes == 64);
  CHECK(os::monotonic_now() - start >= 4ms);
}

TEST_CASE("corruption flips one bit of the stated share of replies, the same ones for the same seed") {
  const auto first = Faulty(plan_of("corrupt=0.25,seed=7")).corrupted(2000);
  const auto count = std::ranges::count(first, true);
  CHECK(count > 400);
  CHECK(count < 600);
  CHECK(Faulty(plan_of("corrupt=0.25,seed=7")).corrupted(2000) == first);
  CHECK(Faulty(plan_of("corrupt=0.25,seed=8")).corrupted(2000) != first);
  CHECK(std::ranges::count(Faulty(plan_of("")).corrupted(100), true) == 0);
}

TEST_CASE("a cut connection answers so many requests and then nothing ever again") {
  Faulty faulty(plan_of("cut=10"));
  std::array<std::byte, 64> room{};
  for (uint32_t i = 0; i < 9; i++) CHECK(faulty.channel.call(faulty.request(), room).call == CallStatus::kAnswered);
  const Ticket posted = faulty.channel.post(faulty.request(), room);  // the tenth, in flight when the cut comes
  CHECK_FALSE(faulty.channel.is_lost());
  CHECK(faulty.channel.call(faulty.request(), room).call == CallStatus::kNodeLost);
  CHECK(faulty.channel.is_lost());
  CHECK(faulty.channel.is_done(posted));
  CHECK(faulty.channel.collect(posted).call == CallStatus::kNodeLost);
  CHECK_FALSE(faulty.channel.post(faulty.request(), room).is_valid());
  CHECK(faulty.channel.info().error().code == ErrorCode::kUnavailable);
}

TEST_CASE("a device is charged by what the engine counted") {
  const DeviceModel device = plan_of("access=750ns,step=40ns,byte=80ps").device;
  Counts counts;
  counts.steps = 100;
  counts.loads = 4;
  counts.lines = 1;
  counts.bytes_moved = 4096;
  // Four loads, a line, and the page that moved in bulk.
  CHECK(device.time_of(counts) == os::Nanoseconds(6 * 750 + 100 * 40 + 4096 * 80 / 1000));
  const DeviceModel engine = plan_of("access=750ns,cycle=5ns").device;
  CHECK(engine.time_of(counts) ==
        os::Nanoseconds(6 * 750 + static_cast<int64_t>(estimate(counts).cycles) * 5));
  CHECK(engine.time_of({}) == os::Nanoseconds(0));
}

TEST_CASE("a malformed fault plan is refused by the part that is wrong") {
  CHECK(plan_of("one_way=1.5us,jitter=200ns").one_way == 1500ns);
  CHECK(plan_of("stall=10ms@0.5").stall_rate == 0.5);
  for (const char* bad : {"x", "one_way", "one_way=5", "one_way=-5us", "one_way=5us ", "corrupt=1.1", "corrupt=x",
                          "stall=5ms", "stall=5ms@2", "seed=-1", "cut=1x", "one_way=1e300s", "=", "seed=1,,cut=2"}) {
    const auto plan = parse_fault_plan(bad);
    REQUIRE_FALSE(plan);
    CHECK(plan.error().message.find("malformed") != std::string::npos);
  }
}
