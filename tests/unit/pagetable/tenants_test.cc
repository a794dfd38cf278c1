// Tenants of one node: what one cannot do to another, and that each refusal is counted.
#include <catch2/catch.hpp>
#include <thread>

#include "nic/asm/assembler.h"
#include "nic/node/lease.h"
#include "nic/node/tenants.h"
#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/checker.h"
#include "pagetable/remote_page_table.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::pagetable {
namespace {

using nic::CloneKind;
using nic::TenantConfig;
using nic::RefusalKind;
using nic::TenantLimits;
using nic::TenantTable;

constexpr TenantLimits kWhole{PageCount{4096}, 100, 100, 100, Bytes{100 * kMiB}};

struct Setup {
  std::shared_ptr<nic::MemoryNode> node;

  explicit Setup(std::vector<TenantConfig> tenants) {
    nic::NodeConfig config;
    config.pool = {Bytes{16 * kMiB}, 4, nic::PoolBacking::kPrivate};
    config.tenants = std::move(tenants);
    config.engine = test_engine();
    auto made = nic::MemoryNode::create(config, builtin_operators());
    REQUIRE(made);
    node = std::move(*made);
  }
  explicit Setup(const nic::NodeConfig& config) {
    auto made = nic::MemoryNode::create(config, builtin_operators());
    REQUIRE(made);
    node = std::move(*made);
  }
  std::unique_ptr<nic::Channel> connect(const std::string& token) {
    auto channel = nic::connect_loop(node, token);
    REQUIRE(channel);
    return std::move(*channel);
  }
  nic::Tenant& tenant(size_t index) { return *node->tenants().all()[index]; }
};

std::vector<TenantConfig> two_tenants(Bytes first_quota = {}, uint32_t first_percent = 0) {
  return {{.name = "red", .token = "red token", .memory = first_quota, .time_percent = first_percent},
          {.name = "blue", .token = "blue token"}};
}

std::unique_ptr<RemotePageTable> table_on(nic::Channel& channel) {
  auto table = RemotePageTable::create(channel, PageCount{4096}, Completion::kInCaller);
  REQUIRE(table);
  return std::move(*table);
}

StoreStatus write_page(RemotePageTable& table, uint64_t page) {
  alignas(8) std::byte bytes[kPageSize];
  fill_page(bytes, page, 1);
  const std::byte* const pages[] = {bytes};
  return table.write({PageNumber{page}, 1}, pages);
}

TEST_CASE("a token opens a session of its own tenant, and no other string does") {
  Setup setup(two_tenants());
  const auto red = setup.node->open_session("red token");
  const auto blue = setup.node->open_session("blue token");
  REQUIRE(red);
  REQUIRE(blue);
  CHECK((*red)->tenant() != (*blue)->tenant());
  for (const char* wrong : {"", "red toke", "red token ", "blue", "RED TOKEN"})
    CHECK_FALSE(setup.node->open_session(wrong));
  CHECK_FALSE(setup.node->open_session(std::string(10'000, 'r')));
  CHECK_FALSE(setup.node->open_session(std::string_view("red token\0", 10)));
  CHECK(setup.node->stats().sessions_refused == 7);
  CHECK(setup.tenant(0).sessions == 1);
}

TEST_CASE("a list of tenants that makes no sense is refused whole, and the line names the tenant") {
  const auto refused = [](std::vector<TenantConfig> tenants) {
    const auto table = TenantTable::create(std::move(tenants), kWhole);
    return table ? std::string("accepted") : table.error().message;
  };
  CHECK(refused({{.name = "a", .token = "x"}, {.name = "a", .token = "y"}}).find("\"a\"") != std::string::npos);
  CHECK(refused({{.name = "a", .token = "x"}, {.name = "b", .token = "x"}}).find("\"b\"") != std::string::npos);
  CHECK(refused({{.name = "a", .token = "x"}, {.name = "b"}}).find("\"b\"") != std::string::npos);
  CHECK(refused({{.name = "", .token = "x"}}) != "accepted");
  CHECK(refused({{.name = "a", .token = std::string(300, 'x')}}) != "accepted");
  CHECK(refused({{.name = "a", .token = "x", .weight = 0}}) != "accepted");
  CHECK(refused({{.name = "a", .token = "x", .time_percent = 10'001}}) != "accepted");
  CHECK(refused({}) == "accepted");
}

TEST_CASE("tenants divide a node: what is stated must fit, and the rest is shared out in equal parts") {
  const auto frames_of = [](std::vector<Bytes> quotas) {
    std::vector<TenantConfig> configs;
    for (size_t i = 0; i < quotas.size(); i++)
      configs.push_back({.name = std::string(1, static_cast<char>('a' + i)), .token = std::to_string(i),
                         .memory = quotas[i]});
    const auto table = TenantTable::create(std::move(configs), kWhole);
    std::vector<uint64_t> frames;
    if (!table) return frames;
    uint64_t sum = 0;
    for (const auto& tenant : table->all()) {
      frames.push_back(tenant->limits().frames.value);
      sum += frames.back();
      CHECK(tenant->limits().spaces == 100 / quotas.size());
      CHECK(tenant->limits().operators == 100 / quotas.size());
    }
    if (quotas.size() > 1) CHECK(sum < kWhole.frames.value);
    return frames;
  };
  const auto frames = [](uint64_t count) { return PageCount{count}.bytes(); };
  CHECK(frames_of({Bytes{0}}) == std::vector<uint64_t>{0});  // alone and without a quota
  CHECK(frames_of({frames(5000)}) == std::vector<uint64_t>{5000});
  const auto rest = frames_of({frames(1000), Bytes{0}, Bytes{0}});
  REQUIRE(rest.size() == 3);
  CHECK(rest[0] == 1000);
  CHECK(rest[1] == rest[2]);
  CHECK(rest[1] > 1400);
  // The whole --memory, of which the node itself needs some: all shrink alike.
  const auto all = frames_of({frames(4096 + nic::pool::kFirstDataFrame - 1000), frames(1000)});
  REQUIRE(all.size() == 2);
  CHECK(all[1] > 900);
  CHECK(frames_of({frames(4000), frames(1000)}).empty());
  CHECK(frames_of({frames(4096), Bytes{0}}).empty());
}

TEST_CASE("a tenant can neither read, write, discard, clone nor drop another's address space") {
  Setup setup(two_tenants());
  const auto red = setup.connect("red token"), blue = setup.connect("blue token");
  const auto table = table_on(*red);
  REQUIRE(write_page(*table, 5) == StoreStatus::kOk);
  const auto info = blue->info();
  REQUIRE(info);
  std::vector<std::byte> reply(64 * kPageSize);
  std::vector<std::byte> payload(kPageSize, std::byte{7});
  const std::span<const std::byte> parts[] = {payload};
  uint32_t tried = 0;
  for (const auto& [name, id] : info->operators) {
    const std::array<uint64_t, 2> arguments{5, 1};
    const auto got = blue->call({id, table->space(), arguments,
                                 name == "pt_write" ? std::span(parts) : std::span(parts).first(0)},
                                reply);
    CHECK(got.outcome.status == nic::Status::kRefused);
    CHECK(got.outcome.code == static_cast<uint16_t>(nic::Refusal::kUnknownAddressSpace));
    ++tried;
  }
  CHECK(tried >= 5);
  CHECK(setup.tenant(1).refused(RefusalKind::kAuthority) == tried);
  CHECK_FALSE(blue->clone_space(table->space(), CloneKind::kClone));
  CHECK_FALSE(blue->destroy_space(table->space()));
  CHECK_FALSE(blue->allocate_data(table->space(), Bytes{kPageSize}));
  CHECK(setup.tenant(1).refused(RefusalKind::kAuthority) == tried + 3);
  alignas(8) std::byte bytes[kPageSize];
  CHECK(table->read({PageNumber{5}, 1}, bytes).present == 1);
  CHECK(is_page(bytes, 5, 1));
}

TEST_CASE("a clone's ticket is worth nothing to another tenant") {
  Setup setup(two_tenants());
  const auto red = setup.connect("red token"), blue = setup.connect("blue token"), other = setup.connect("red token");
  const auto table = table_on(*red);
  REQUIRE(write_page(*table, 5) == StoreStatus::kOk);
  const auto clone = table->clone(CloneKind::kClone);
  REQUIRE(clone);
  CHECK_FALSE(blue->adopt_space(*clone));
  CHECK(other->adopt_space(*clone));
}

TEST_CASE("a tenant's operators are its own") {
  Setup setup(two_tenants());
  const auto red = setup.connect("red token"), blue = setup.connect("blue token");
  nic::Program program;
  program.name = "nothing";
  program.code = {nic::Instruction{.opcode = nic::Opcode::kRet}};
  const auto id = red->register_operator(nic::serialize(program));
  REQUIRE(id);
  CHECK(red->call({*id, {}, {}}, {}).outcome.status == nic::Status::kOk);
  CHECK(blue->call({*id, {}, {}}, {}).outcome.code == static_cast<uint16_t>(nic::Refusal::kUnknownOperator));
  CHECK(setup.tenant(1).refused(RefusalKind::kAuthority) == 1);
}

TEST_CASE("a program names no region but its own address space's, and one that other tenants have only where it may") {
  nic::NodeConfig config;
  config.pool.size = Bytes{16 * kMiB};
  config.shared = Bytes{kPageSize};
  config.engine = test_engine();
  config.tenants = two_tenants();
  config.tenants[1].may_share = true;
  config.tenants[1].time_percent = 1;
  Setup setup(config);
  const auto red = setup.connect("red token"), blue = setup.connect("blue token");
  const auto registered = [](nic::Channel& channel, std::string_view text) {
    const auto program = nic::assemble(text, "test.tiara");
    REQUIRE(program);
    return channel.register_operator(nic::serialize(*program));
  };
  for (const char* region : {"pool", "space", "alloc", "refs", "elsewhere"})
    CHECK_FALSE(registered(*blue, ".operator x\n.version 1\n.region " + std::string(region) + " r\n  ret 0\n"));
  CHECK(setup.tenant(1).refused(RefusalKind::kAuthority) == 5);
  const char* const kShared = ".operator x\n.version 1\n.region shared rwa\n.results 1\n  ld8 r0, shared[0]\n  ret 1\n";
  const auto refused = registered(*red, kShared);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kNoPermission);
  CHECK(registered(*blue, kShared));

  // `data` is the space's that the call names: another tenant's cannot be named, whosever the program is.
  const auto count = registered(*blue, ".operator c\n.version 1\n.region data rwa\n.results 1\n  li r1, 1\n"
                                       "  faa r0, data[0], r1\n  ret 1\n");
  REQUIRE(count);
  const auto of_red = red->create_space(1), of_blue = blue->create_space(1);
  REQUIRE(red->allocate_data(*of_red, Bytes{kPageSize}));
  REQUIRE(blue->allocate_data(*of_blue, Bytes{kPageSize}));
  CHECK(blue->call({*count, *of_blue, {}}, {}).outcome.status == nic::Status::kOk);
  CHECK(blue->call({*count, *of_red, {}}, {}).outcome.code ==
        static_cast<uint16_t>(nic::Refusal::kUnknownAddressSpace));

  // Some eight million instructions at the worst are 40 ms; one percent of a second are 10.
  const auto too_long = registered(*blue, ".operator l\n.version 1\n.arg n 0 2000\n  loop r1, r0, 2000 {\n"
                                          "    loop r2, r0, 2000 {\n      li r3, 1\n    }\n  }\n  ret 0\n");
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().message.find("operator time") != std::string::npos);
}

TEST_CASE("a frame that names another tenant is refused and counted, and so is one that cannot be decoded") {
  Setup setup(two_tenants());
  const auto red = setup.node->open_session("red token"), blue = setup.node->open_session("blue token");
  nic::wire::InvocationFrame frame;
  frame.operation = {1};
  frame.space = *(*red)->create_space(16);
  frame.tenant = (*red)->tenant();
  CHECK((*blue)->invoke(frame, {}, {}).code == static_cast<uint16_t>(nic::Refusal::kNotAuthorised));
  CHECK((*blue)->refuse(nic::Refusal::kMalformedFrame).status == nic::Status::kRefused);
  CHECK(setup.tenant(1).refused(RefusalKind::kAuthority) == 1);
  CHECK(setup.tenant(1).refused(RefusalKind::kMalformed) == 1);
  CHECK(setup.tenant(0).refused(RefusalKind::kAuthority) == 0);
}

TEST_CASE("a lease that ran out gives a tenant's memory back and is worth nothing after that") {
  using namespace std::chrono_literals;
  Setup setup(two_tenants());
  nic::LeaseTable leases(*setup.node, 10s);
  nic::wire::Handshake question;
  question.slots = 8;
  const std::string_view token = "red token";
  question.token_bytes = static_cast<uint32_t>(token.size());
  std::copy(token.begin(), token.end(), question.token.begin());
  auto opened = leases.open(question, 64);
  REQUIRE(opened.session != nullptr);
  REQUIRE(opened.session->session().create_space(16));
  question.token[0] = 'b';
  CHECK(leases.open(question, 64).reply.status == nic::wire::HandshakeStatus::kNoPermission);

  nic::wire::Handshake again;
  again.kind = nic::wire::HandshakeKind::kResume;
  again.instance = opened.reply.instance;
  again.session = opened.reply.session;
  again.secret = opened.reply.secret;
  CHECK(leases.resume(again).session == opened.session);
  again.secret.words[1] ^= 1;
  CHECK(leases.resume(again).reply.status == nic::wire::HandshakeStatus::kExpired);
  again.secret.words[1] ^= 1;
  const os::Nanoseconds now = 1000s;
  leases.disconnected(*opened.session, opened.session->epoch(), now);
  leases.reap(now + 11s);
  opened.session.reset();
  CHECK(leases.resume(again).reply.status == nic::wire::HandshakeStatus::kExpired);
  CHECK(setup.tenant(0).sessions == 0);
  CHECK(setup.tenant(0).spaces == 0);
}

TEST_CASE("a tenant cannot take the places of the others: sessions, address spaces, operators") {
  auto tenants = two_tenants();
  tenants[0].sessions = 2;
  Setup setup(std::move(tenants));
  const auto one = setup.connect("red token"), two = setup.connect("red token");
  const auto three = setup.node->open_session("red token");
  REQUIRE_FALSE(three);
  CHECK(three.error().code == ErrorCode::kResourceExhausted);
  uint32_t spaces = 0;
  while (spaces < nic::pool::kMaxSpaces && one->create_space(1)) spaces++;
  CHECK(spaces == nic::pool::kMaxSpaces / 2);
  CHECK_FALSE(two->create_space(1));
  CHECK(setup.tenant(0).refused(RefusalKind::kPlaces) == 3);
  const auto blue = setup.connect("blue token");
  CHECK(blue->create_space(1));
}

TEST_CASE("a tenant at its quota of memory stores no more, can discard, and leaves the others their room") {
  constexpr uint64_t kQuota = 300;
  Setup setup(two_tenants(Bytes{kQuota << kPageShift}));
  const auto red = setup.connect("red token"), blue = setup.connect("blue token");
  const auto of_red = table_on(*red), of_blue = table_on(*blue);
  uint64_t stored = 0;
  while (stored < 4096 && write_page(*of_red, stored) == StoreStatus::kOk) ++stored;
  CHECK(write_page(*of_red, stored) == StoreStatus::kNodeFull);
  CHECK(stored >= kQuota - 20);
  CHECK(stored <= kQuota);
  CHECK(setup.tenant(0).used().value <= kQuota);
  CHECK(setup.tenant(0).refused(RefusalKind::kMemory) >= 2);
  CHECK_FALSE(of_red->clone(CloneKind::kClone));  // it would count twice
  CHECK(setup.tenant(0).spaces == 1);
  CHECK_FALSE(red->allocate_data(of_red->space(), Bytes{kQuota << kPageShift}));
  for (uint64_t page = 0; page < 1000; ++page) REQUIRE(write_page(*of_blue, page) == StoreStatus::kOk);
  REQUIRE(of_red->discard({PageNumber{0}, PageCount{stored}}) == StoreStatus::kOk);
  CHECK(write_page(*of_red, 0) == StoreStatus::kOk);
  CHECK(check_pool(setup.node->pool().bytes()).is_sound());
}

TEST_CASE("what a tenant holds is accounted for over clones, threads and the end of its spaces") {
  Setup setup(two_tenants());
  {
    const auto red = setup.connect("red token");
    const auto table = table_on(*red);
    {
      std::vector<std::jthread> threads;
      for (uint64_t i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
          for (uint64_t page = i; page < 400; page += 4) (void)write_page(*table, page);
        });
    }
    REQUIRE(write_page(*table, 0) == StoreStatus::kOk);
    const auto usage = table->usage();
    REQUIRE(usage);
    const uint64_t frames = usage->pages.value + usage->tables.value;
    CHECK(setup.tenant(0).used().value == frames);
    REQUIRE(table->clone(CloneKind::kSnapshot));
    CHECK(setup.tenant(0).used().value == 2 * frames);
    CHECK(setup.tenant(1).used().value == 0);
  }
  CHECK(setup.tenant(0).used().value == 0);
  CHECK(setup.node->pool().stats().in_use.value == 0);
}

TEST_CASE("operator time is paid for as it is used, and earned again as time passes") {
  using namespace std::chrono_literals;
  nic::Tenant tenant({.name = "t", .token = {}, .time_percent = 1}, {0}, {});
  const os::Nanoseconds now = 1000s;
  CHECK(tenant.has_time(now));
  // A second's savings at 1 %: 10 ms of operator time empty them, 30 ms cost two seconds more.
  constexpr uint64_t kMillisecond = 1'000'000'000;
  tenant.pay(10 * kMillisecond, now);
  CHECK(tenant.has_time(now));
  tenant.pay(20 * kMillisecond, now);
  CHECK_FALSE(tenant.has_time(now));
  CHECK_FALSE(tenant.has_time(now + 1999ms));
  CHECK(tenant.has_time(now + 2s));
  // However long it was away, no more than a second is saved.
  tenant.pay(11 * kMillisecond, now + 1000s);
  CHECK_FALSE(tenant.has_time(now + 1000s));
  CHECK(tenant.longest_run_ps() == 10 * kMillisecond);
}

TEST_CASE("a tenant beyond its operator time is refused and counted, and the others are served") {
  Setup setup(two_tenants({}, 1));
  const auto red = setup.connect("red token"), blue = setup.connect("blue token");
  const auto of_red = table_on(*red), of_blue = table_on(*blue);
  REQUIRE(write_page(*of_red, 1) == StoreStatus::kOk);
  // A minute of an engine: 100 minutes at 1 %.
  setup.tenant(0).pay(uint64_t{60} * 1'000'000'000'000, os::monotonic_now());
  alignas(8) std::byte bytes[kPageSize];
  CHECK(of_red->read({PageNumber{1}, 1}, bytes).status == StoreStatus::kContended);
  CHECK(setup.tenant(0).refused(RefusalKind::kTime) > 0);
  CHECK(write_page(*of_blue, 1) == StoreStatus::kOk);
  CHECK(setup.tenant(1).refused(RefusalKind::kTime) == 0);
  CHECK(setup.node->stats_of(setup.tenant(0)).operator_time_ps > 0);
  CHECK(setup.node->stats().operator_time_ps >= setup.node->stats_of(setup.tenant(1)).operator_time_ps);
}

TEST_CASE("a node that is drained opens no session and serves those that are open") {
  Setup setup(two_tenants());
  const auto red = setup.connect("red token");
  const auto table = table_on(*red);
  setup.node->drain();
  CHECK_FALSE(setup.node->open_session("blue token"));
  CHECK(write_page(*table, 1) == StoreStatus::kOk);
}

TEST_CASE("the pool can be checked while clients go on") {
  Setup setup(two_tenants());
  const auto red = setup.connect("red token");
  const auto table = table_on(*red);
  std::atomic<bool> is_over{false};
  std::atomic<uint64_t> failed{0};
  {
    const std::jthread writer([&] {
      for (uint64_t page = 0; !is_over; page = (page + 1) % 2000)
        if (write_page(*table, page) != StoreStatus::kOk) ++failed;
    });
    for (int i = 0; i < 20; ++i)
      setup.node->while_quiet([](const nic::Pool& pool) { CHECK(check_pool(pool.bytes()).is_sound()); });
    is_over = true;
  }
  CHECK(failed == 0);
}

}  // namespace
}  // namespace tiara::pagetable
