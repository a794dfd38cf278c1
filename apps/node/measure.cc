#include "apps/node/measure.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/common/machine.h"
#include "apps/common/random.h"
#include "nic/transport/connect.h"
#include "runtime/os/memory.h"

namespace tiara::apps::node {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStartLimit{20'000};

std::string text_of(const UniqueFd& file) {
  std::string text(4096, '\0');
  const ssize_t got = pread(file.get(), text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

os::Nanoseconds nanoseconds(double seconds) {
  return os::Nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

std::string token_of(uint32_t tenant) { return fmt::format("token of tenant {}", tenant); }

void fill_page(std::byte* page, uint64_t number, uint64_t seed) {
  Random random(seed ^ (number * 0x9e3779b97f4a7c15));
  for (size_t at = 0; at < kPageSize; at += 8) {
    const uint64_t word = random.next();
    std::memcpy(page + at, &word, 8);
  }
}

}  // namespace

// --- the node ---

Result<std::unique_ptr<NodeProcess>> NodeProcess::start(const Options& options, uint32_t tenants) {
  auto node = std::make_unique<NodeProcess>();
  TIARA_TRY(node->output_, os::create_memfd("tiara-node-output", Bytes{0}));
  TIARA_TRY(node->configuration_, os::create_memfd("tiara-node-configuration", Bytes{0}));
  node->tenants_ = tenants;
  nlohmann::json list = nlohmann::json::array();
  std::vector<std::pair<std::string, std::string>> tokens;
  for (uint32_t i = 0; i < tenants; i++) {
    tokens.emplace_back(fmt::format("BENCH_TOKEN_{}", i), token_of(i));
    list.push_back({{"name", fmt::format("tenant-{}", i)}, {"token_env", tokens.back().first}});
  }
  const std::string text = tenants == 0 ? "{}" : nlohmann::json{{"tenants", list}}.dump();
  if (pwrite(node->configuration_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return std::unexpected(system_error("pwrite", "the node's configuration"));
  TIARA_TRY(node->process_,
            Child::spawn({.path = "/proc/self/exe",
                          .arguments = {"tiara", "node", "--listen", "tcp://127.0.0.1:0", "--memory", "256M",
                                        "--workers", std::to_string(options.workers), "--config",
                                        fmt::format("/proc/{}/fd/{}", getpid(), node->configuration_.get())},
                          .environment = std::move(tokens),
                          .standard_output = node->output_.get(),
                          .standard_error = node->output_.get(),
                          .death_signal = SIGKILL}));
  for (milliseconds waited{0}; waited < kStartLimit; waited += milliseconds(10)) {
    if (const auto exit = node->process_.wait_for(milliseconds(10)))
      return fail(ErrorCode::kUnavailable, fmt::format("tiara node {}: {}", exit->describe(), text_of(node->output_)));
    const std::string line = text_of(node->output_);
    const size_t at = line.find(" at "), end = line.find(" with ");
    if (at == std::string::npos || end == std::string::npos) continue;
    node->url_ = line.substr(at + 4, end - at - 4);
    return node;
  }
  return fail(ErrorCode::kTimedOut, "tiara node did not listen; is the machine overloaded?");
}

Result<std::unique_ptr<nic::Channel>> NodeProcess::connect(uint32_t slots, uint32_t tenant) const {
  nic::ConnectOptions options;
  options.slots = slots;
  if (tenants_ != 0) options.token = token_of(tenant);
  return nic::connect(url_, options);
}

uint64_t NodeProcess::resident_bytes() const { return process_use(process_.pid()).resident.value; }

uint64_t NodeProcess::descriptors() const {
  DIR* folder = opendir(fmt::format("/proc/{}/fd", process_.pid()).c_str());
  if (folder == nullptr) return 0;
  uint64_t count = 0;
  while (readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

// --- a client ---

Result<std::unique_ptr<Client>> Client::create(const NodeProcess& node, uint64_t pages, uint64_t seed, uint32_t slots,
                                               uint32_t tenant) {
  auto client = std::make_unique<Client>();
  client->pages_ = pages;
  client->seed_ = seed;
  TIARA_TRY(client->channel_, node.connect(slots, tenant));
  TIARA_TRY(const nic::NodeInfo info, client->channel_->info());
  for (const auto& [name, id] : info.operators) {
    if (name == "pt_read") client->read_ = id;
    if (name == "pt_write") client->write_ = id;
  }
  TIARA_TRY(client->space_, client->channel_->create_space(pages));
  for (uint64_t page = 0; page < pages; page++) {
    fill_page(client->room_.data(), page, seed);
    const std::vector<uint64_t> arguments{page, 1};
    const std::array<std::span<const std::byte>, 1> parts{client->room_};
    nic::Request request = client->request(arguments);
    request.operation = client->write_;
    request.payload = parts;
    const nic::Reply reply = client->channel_->call(request, {});
    if (reply.call != nic::CallStatus::kAnswered || reply.outcome.status != nic::Status::kOk)
      return fail(ErrorCode::kUnavailable, "the node does not take pages; does it have the memory?");
  }
  return client;
}

bool Client::is_right(uint64_t page, const nic::Reply& reply, std::span<const std::byte> bytes) {
  std::array<std::byte, kPageSize> wanted;
  fill_page(wanted.data(), page, seed_);
  const bool is_right = reply.call == nic::CallStatus::kAnswered && reply.outcome.reply_bytes == kPageSize &&
                        std::ranges::equal(wanted, bytes);
  if (!is_right) wrong_++;
  return is_right;
}

bool Client::read(uint64_t page) {
  const std::vector<uint64_t> arguments{page, 1};
  const nic::Reply reply = channel_->call(request(arguments), room_);
  return is_right(page, reply, room_);
}

// Answers come in the order of the questions. Takes the oldest ones, and asks for `together` pages at once as soon as
// that many are missing under way.
uint64_t Client::stream(const Options& options, os::Nanoseconds time, uint64_t seed) {
  struct Flight {
    nic::Ticket ticket;
    std::array<uint64_t, 2> arguments{0, 1};
    std::vector<std::byte> room = std::vector<std::byte>(kPageSize);
  };
  std::vector<Flight> flights(options.outstanding);
  std::vector<nic::Posting> postings;
  const size_t together = std::min<size_t>(flights.size(), options.together);
  Random random(seed);
  size_t oldest = 0, under_way = 0;
  uint64_t done = 0;
  const auto post_again = [&] {
    postings.clear();
    for (size_t i = 0; i < together; i++) {
      Flight& flight = flights[(oldest + under_way + i) % flights.size()];
      flight.arguments[0] = random.below(pages_);
      postings.push_back({request(flight.arguments), flight.room, {}});
    }
    const size_t posted = channel_->post_all(postings);
    if (posted != together) wrong_++;
    for (size_t i = 0; i < posted; i++)
      flights[(oldest + under_way + i) % flights.size()].ticket = postings[i].ticket;
    under_way += posted;
  };
  const auto take_oldest = [&] {
    Flight& flight = flights[oldest];
    const nic::Reply reply = channel_->collect(flight.ticket);
    if (reply.call != nic::CallStatus::kAnswered || reply.outcome.reply_bytes != kPageSize) wrong_++;
    // Whole pages now and then: comparing them all would be what is measured.
    if (done++ % 64 == 0) (void)is_right(flight.arguments[0], reply, flight.room);
    oldest = (oldest + 1) % flights.size();
    under_way--;
  };
  const auto end = os::monotonic_now() + time;
  do {
    while (flights.size() - under_way >= together && wrong_ == 0) post_again();
    if (under_way == 0) break;
    take_oldest();
  } while (os::monotonic_now() < end && wrong_ == 0);
  while (under_way != 0) take_oldest();
  return done;
}

// --- measurements ---

Result<Link> measure_link(const Options& options, const NodeProcess& node, const BareServer& bare) {
  constexpr uint32_t kAsk = 128, kAnswer = 128 + kPageSize + 8;  // what a miss sends and gets
  TIARA_TRY(const auto client, Client::create(node, options.pages, options.seed, 64));
  TIARA_TRY(const auto echo, BareClient::connect(bare.echo_address()));
  Link link;
  Random random(options.seed);
  for (uint32_t round = 0; round <= options.rounds; round++) {
    LatencyHistogram miss, bare_echo;
    const uint64_t count = round == 0 ? std::min<uint64_t>(options.misses, 500) : options.misses;  // 0: warm-up
    for (uint64_t i = 0; i < count; i++) {
      const uint64_t page = random.below(options.pages);
      const auto start = os::monotonic_now();
      const std::vector<uint64_t> arguments{page, 1};
      (void)client->read(page);
      miss.record(static_cast<uint64_t>((os::monotonic_now() - start).count()));
    }
    if (!echo->echo(kAsk, kAnswer, count, bare_echo)) return fail(ErrorCode::kUnavailable, "the bare echo ended");
    // A stream of its own for each round: it goes on for as long as somebody is connected.
    TIARA_TRY(const auto stream, BareClient::connect(bare.stream_address()));
    const double time = options.seconds;
    const double bare_bytes = static_cast<double>(stream->stream(nanoseconds(time))) / time;
    const auto before = os::monotonic_now();
    const uint64_t pages = client->stream(options, nanoseconds(time), options.seed + round);
    const double took = std::chrono::duration<double>(os::monotonic_now() - before).count();
    if (round == 0) continue;
    link.miss.add(miss);
    link.echo.add(bare_echo);
    link.miss_p50.push_back(miss.quantile(0.5));
    link.echo_p50.push_back(bare_echo.quantile(0.5));
    link.stream_bytes.push_back(bare_bytes);
    link.page_bytes.push_back(static_cast<double>(pages * kPageSize) / took);
  }
  link.wrong = client->wrong();
  return link;
}

Result<Load> measure_load(const Options& options) {
  TIARA_TRY(const auto node, NodeProcess::start(options, options.busy_clients));
  std::vector<std::unique_ptr<Client>> clients;
  for (uint32_t i = 0; i < options.busy_clients; i++) {
    TIARA_TRY(auto client, Client::create(*node, std::min<uint64_t>(options.pages, 256), options.seed + i, 32, i));
    clients.push_back(std::move(client));
  }
  Load load;
  load.pages.resize(clients.size());
  std::vector<LatencyHistogram> latencies(clients.size());
  std::atomic<bool> is_over{false};
  const auto work = [&](size_t index) {
    Random random(options.seed + index);
    while (!is_over.load(std::memory_order_relaxed)) {
      const uint64_t page = random.below(std::min<uint64_t>(options.pages, 256));
      const auto start = os::monotonic_now();
      (void)clients[index]->read(page);
      latencies[index].record(static_cast<uint64_t>((os::monotonic_now() - start).count()));
      load.pages[index]++;
    }
  };
  const auto start = os::monotonic_now();
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < clients.size(); i++) threads.emplace_back(work, i);
  std::this_thread::sleep_for(nanoseconds(options.seconds * 8));
  is_over = true;
  threads.clear();
  load.seconds = std::chrono::duration<double>(os::monotonic_now() - start).count();
  for (size_t i = 0; i < clients.size(); i++) {
    load.latency.add(latencies[i]);
    load.wrong += clients[i]->wrong();
  }
  return load;
}

Result<Crowd> measure_crowd(const Options& options, const NodeProcess& node) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  Crowd crowd;
  crowd.bytes_before = node.resident_bytes();
  {
    std::vector<std::unique_ptr<nic::Channel>> idle;
    for (uint32_t i = 0; i < options.idle_clients; i++) {
      TIARA_TRY(auto channel, node.connect(8));
      TIARA_TRY(const nic::AddressSpaceId space, channel->create_space(512));
      (void)space;
      idle.push_back(std::move(channel));
    }
    crowd.bytes_with_idle = node.resident_bytes();
  }
  const auto churn = [&](uint32_t count) -> Result<void> {
    for (uint32_t i = 0; i < count; i++) {
      TIARA_TRY(const auto channel, node.connect(8));
      TIARA_TRY(const nic::AddressSpaceId space, channel->create_space(64));
      (void)space;
    }
    return {};
  };
  TIARA_TRY_VOID(churn(std::min(options.churn, 200u)));  // what is made once is made now
  // The last clients' connections are being taken down: until only `at_most` are left, or none went for a while.
  const auto settle = [&](uint64_t at_most) {
    uint64_t seen = node.descriptors();
    for (int looks = 0, unchanged = 0; looks < 3000 && seen > at_most && (at_most != 0 || unchanged < 20); looks++) {
      std::this_thread::sleep_for(milliseconds(10));
      const uint64_t now = node.descriptors();
      unchanged = now == seen ? unchanged + 1 : 0;
      seen = now;
    }
    return seen;
  };
  crowd.descriptors_before = settle(0);
  crowd.bytes_before_churn = node.resident_bytes();
  const auto start = os::monotonic_now();
  TIARA_TRY_VOID(churn(options.churn));
  crowd.connects_per_second =
      options.churn / std::chrono::duration<double>(os::monotonic_now() - start).count();
  crowd.descriptors_after = settle(crowd.descriptors_before);
  crowd.bytes_after_churn = node.resident_bytes();
  return crowd;
}

}  // namespace tiara::apps::node
