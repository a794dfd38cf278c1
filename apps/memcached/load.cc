#include "apps/memcached/load.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "runtime/os/clock.h"

namespace tiara::apps::memcached {
namespace {

// SETs in flight on each connection while filling: enough to hide the round trip, below the socket
// buffers.
constexpr size_t kFillDepth = 32;
// A server that answers nothing for this long is stuck: with far memory or swap a request takes
// milliseconds.
constexpr std::chrono::seconds kStallLimit{60};
// Between looks at the clock for a stall, and between calls of the watch.
constexpr std::chrono::milliseconds kTick{200};
// Complaints kept: the first few tell what is wrong, the count tells how much.
constexpr size_t kMaxComplaints = 5;

uint64_t now_ns() {
  return static_cast<uint64_t>(os::monotonic_now().count());
}

Result<UniqueFd> connect_loopback(uint16_t port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return std::unexpected(system_error("socket"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(system_error("connect", fmt::format("127.0.0.1:{}", port)));
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

}  // namespace

void LoadCounts::add(const LoadCounts& other) {
  gets += other.gets;
  hits += other.hits;
  misses += other.misses;
  sets += other.sets;
  refused += other.refused;
  wrong_values += other.wrong_values;
}

// One thread's share of the connections, and what they have seen.
class LoadDriver::Worker {
 public:
  Worker(LoadDriver& driver, uint32_t first, uint32_t step)
      : driver_(driver), first_(first), step_(step) {}

  Result<void> connect(uint16_t port) {
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_.is_open()) return std::unexpected(system_error("epoll_create1"));
    for (uint32_t index = first_; index < driver_.workload_.connections; index += step_) {
      TIARA_TRY(UniqueFd socket, connect_loopback(port));
      links_.push_back(std::make_unique<Link>(std::move(socket), driver_.workload_, index));
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = links_.back().get();
      if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, links_.back()->socket.get(), &event) != 0)
        return std::unexpected(system_error("epoll_ctl"));
    }
    return {};
  }

  // Runs until the phase is over and every answer is in; the outcome is in result() and error().
  void run(Phase phase, uint64_t deadline_ns) {
    phase_ = phase;
    deadline_ns_ = deadline_ns;
    result_ = {};
    error_.reset();
    uint64_t last_answer_ns = now_ns();
    for (auto& link : links_) {
      link->next_fill = link->index;
      top_up(*link, last_answer_ns);
    }
    while (!error_ && std::any_of(links_.begin(), links_.end(),
                                  [](auto& link) { return link->connection.outstanding() > 0; })) {
      epoll_event events[64];
      const int ready = epoll_wait(epoll_.get(), events, 64, static_cast<int>(kTick.count()));
      if (driver_.stop_.load(std::memory_order_relaxed)) return;
      const uint64_t now = now_ns();
      if (ready > 0) last_answer_ns = now;
      if (now - last_answer_ns >
          static_cast<uint64_t>(std::chrono::nanoseconds(kStallLimit).count()))
        return stop_with(
            fail(ErrorCode::kTimedOut,
                 fmt::format("the server answered nothing for {} s", kStallLimit.count()))
                .error());
      for (int i = 0; i < ready && !error_; ++i)
        serve(*static_cast<Link*>(events[i].data.ptr), events[i].events);
    }
  }

  const LoadResult& result() const { return result_; }
  const std::optional<Error>& error() const { return error_; }

 private:
  struct Link {
    Link(UniqueFd connected, const Workload& workload, uint32_t number)
        : socket(std::move(connected)),
          connection(workload.protocol, workload.value_size),
          random(mix64(workload.seed) +
                 number),  // a seed of its own: equal streams would make one client of many
          index(number) {}
    UniqueFd socket;
    Connection connection;
    Random random;
    uint32_t index;
    uint64_t next_fill = 0;
    bool wants_output = false;
  };

  void stop_with(Error error) {
    if (!error_) error_ = std::move(error);
    driver_.stop_.store(true, std::memory_order_relaxed);
  }

  void top_up(Link& link, uint64_t now) {
    const Workload& workload = driver_.workload_;
    if (phase_ == Phase::kFill) {
      while (link.connection.outstanding() < kFillDepth && link.next_fill < workload.keys) {
        link.connection.send_set(link.next_fill, driver_.versions_.issue(link.next_fill), now);
        link.next_fill += workload.connections;
      }
    } else if (link.connection.outstanding() == 0 && now < deadline_ns_) {
      uint64_t key = driver_.chooser_.choose(link.random);
      if (workload.set_ratio > 0 && link.random.unit() < workload.set_ratio) {
        key = key - key % workload.connections + link.index;  // a key that this connection owns
        if (key >= workload.keys) key = link.index;
        link.connection.send_set(key, driver_.versions_.issue(key), now);
      } else {
        link.connection.send_get(key, driver_.versions_.oldest(key), now);
      }
    }
    flush(link);
  }

  void flush(Link& link) {
    while (!link.connection.output().empty()) {
      const auto output = link.connection.output();
      const ssize_t sent =
          send(link.socket.get(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return stop_with(system_error("send", "to memcached"));
      link.connection.wrote(static_cast<size_t>(sent));
    }
    const bool wants_output = !link.connection.output().empty();
    if (wants_output == link.wants_output) return;
    link.wants_output = wants_output;
    epoll_event event{};
    event.events = EPOLLIN | (wants_output ? EPOLLOUT : 0u);
    event.data.ptr = &link;
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, link.socket.get(), &event);
  }

  void serve(Link& link, uint32_t events) {
    if (events & EPOLLOUT) flush(link);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    const auto room = link.connection.input_room();
    const ssize_t got = recv(link.socket.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) return stop_with(system_error("recv", "from memcached"));
    if (got == 0)
      return stop_with(Error{ErrorCode::kUnavailable, "the server closed a connection", 0});
    link.connection.received(static_cast<size_t>(got));
    const uint64_t now = now_ns();
    Completion completion;
    while (true) {
      const auto parse = link.connection.next(completion);
      if (parse == Connection::Parse::kNeedMore) break;
      if (parse == Connection::Parse::kProtocolError)
        return stop_with(Error{ErrorCode::kInvalidInput, link.connection.error(), 0});
      account(completion, now);
    }
    top_up(link, now);
  }

  void complain(std::string complaint) {
    if (result_.complaints.size() < kMaxComplaints)
      result_.complaints.push_back(std::move(complaint));
  }

  void account(const Completion& completion, uint64_t now) {
    const PendingRequest& request = completion.request;
    LoadCounts& counts = result_.counts;
    driver_.completed_.fetch_add(1, std::memory_order_relaxed);
    if (request.kind == RequestKind::kSet) {
      ++counts.sets;
      result_.set_latency.record(now - request.sent_ns);
      if (completion.answer == Answer::kRefused) {
        ++counts.refused;
        complain(fmt::format("key {}: {}", request.key, completion.text));
      } else {
        driver_.versions_.acknowledge(request.key, request.version);
      }
      return;
    }
    ++counts.gets;
    result_.get_latency.record(now - request.sent_ns);
    if (completion.answer == Answer::kMiss) {
      ++counts.misses;
      return;
    }
    ++counts.hits;
    const auto check = check_value(request.key, completion.value, driver_.workload_.value_size);
    const uint32_t newest = driver_.versions_.newest(request.key);
    if (check.is_right && check.version >= request.version && check.version <= newest) return;
    ++counts.wrong_values;
    complain(!check.is_right ? check.complaint
                             : fmt::format("key {}: version {} came back, not one of {} to {}",
                                           request.key, check.version, request.version, newest));
  }

  LoadDriver& driver_;
  const uint32_t first_, step_;
  UniqueFd epoll_;
  std::vector<std::unique_ptr<Link>> links_;
  Phase phase_ = Phase::kFill;
  uint64_t deadline_ns_ = 0;
  LoadResult result_;
  std::optional<Error> error_;
};

LoadDriver::LoadDriver(const Workload& workload)
    : workload_(workload), chooser_(workload), versions_(workload.keys) {}
LoadDriver::~LoadDriver() = default;

Result<std::unique_ptr<LoadDriver>> LoadDriver::connect(const Workload& workload, uint16_t port) {
  std::unique_ptr<LoadDriver> driver(new LoadDriver(workload));
  const uint32_t threads = std::min(workload.threads, workload.connections);
  for (uint32_t i = 0; i < threads; ++i) {
    driver->workers_.push_back(std::make_unique<Worker>(*driver, i, threads));
    TIARA_TRY_VOID(driver->workers_.back()->connect(port));
  }
  return driver;
}

Result<LoadResult> LoadDriver::fill(const Watch& watch) {
  return run(Phase::kFill, {}, watch);
}

Result<LoadResult> LoadDriver::drive(std::chrono::milliseconds duration, const Watch& watch) {
  return run(Phase::kDrive, duration, watch);
}

Result<LoadResult> LoadDriver::run(Phase phase, std::chrono::milliseconds duration,
                                   const Watch& watch) {
  stop_ = false;
  completed_ = 0;
  const uint64_t started = now_ns();
  const auto duration_ns = static_cast<uint64_t>(std::chrono::nanoseconds(duration).count());
  std::mutex mutex;
  std::condition_variable finished;
  size_t running = workers_.size();
  std::vector<std::jthread> threads;
  for (auto& worker : workers_)
    threads.emplace_back([&] {
      worker->run(phase, started + duration_ns);
      const std::lock_guard lock(mutex);
      --running;
      finished.notify_one();
    });

  bool interrupted = false;
  for (std::unique_lock lock(mutex); running > 0;) {
    finished.wait_for(lock, kTick);
    const double share =
        phase == Phase::kFill
            ? static_cast<double>(completed_) / static_cast<double>(workload_.keys)
            : static_cast<double>(now_ns() - started) / static_cast<double>(duration_ns);
    if (!interrupted && !watch(std::min(share, 1.0))) {
      interrupted = true;
      stop_ = true;
    }
  }
  threads.clear();  // joins

  LoadResult total;
  total.seconds = static_cast<double>(now_ns() - started) / 1e9;
  for (const auto& worker : workers_) {
    if (worker->error()) return std::unexpected(*worker->error());
    total.counts.add(worker->result().counts);
    total.get_latency.add(worker->result().get_latency);
    total.set_latency.add(worker->result().set_latency);
    for (const auto& complaint : worker->result().complaints)
      if (total.complaints.size() < kMaxComplaints) total.complaints.push_back(complaint);
  }
  if (interrupted) return fail(ErrorCode::kTimedOut, "interrupted");
  return total;
}

}  // namespace tiara::apps::memcached
