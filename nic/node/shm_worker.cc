#include "nic/node/shm_worker.h"

#include <algorithm>
#include <string>
#include <sys/epoll.h>

#include "runtime/os/clock.h"
#include "runtime/os/socket.h"

namespace tiara::nic {
namespace {

// Edge-triggered: each ring is one event, and the counter of the eventfd never needs to be read.
Result<void> watch(const UniqueFd& epoll, const UniqueFd& event) {
  epoll_event interest{};
  interest.events = EPOLLIN | EPOLLET;
  interest.data.fd = event.get();
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &interest) != 0)
    return std::unexpected(system_error("epoll_ctl", "doorbell"));
  return {};
}

}  // namespace

ShmWorker::ShmWorker(wire::BoardLine& line, UniqueFd epoll, UniqueFd kick) noexcept
    : line_(line), epoll_(std::move(epoll)), kick_(std::move(kick)) {}

Result<std::unique_ptr<ShmWorker>> ShmWorker::start(uint32_t number, wire::BoardLine& line) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) return std::unexpected(system_error("epoll_create1"));
  TIARA_TRY(UniqueFd kick, os::create_event());
  TIARA_TRY_VOID(watch(epoll, kick));
  std::unique_ptr<ShmWorker> worker(new ShmWorker(line, std::move(epoll), std::move(kick)));
  const std::string name = "tiara-node-" + std::to_string(number);
  TIARA_TRY(worker->thread_, os::Thread::start(name.c_str(), [self = worker.get()] { self->run(); }));
  return worker;
}

ShmWorker::~ShmWorker() {
  is_stopping_.store(true, std::memory_order_release);  // pairs with the loads in run()
  changed();
  thread_.join();
}

void ShmWorker::changed() noexcept {
  changes_.fetch_add(1, std::memory_order_release);  // pairs with the load in run()
  os::signal_event(kick_);
}

Result<void> ShmWorker::add(std::shared_ptr<ShmSession> session) {
  TIARA_TRY_VOID(watch(epoll_, session->doorbell()));
  {
    const std::lock_guard lock(mutex_);
    sessions_.push_back(std::move(session));
  }
  changed();
  return {};
}

void ShmWorker::remove(const ShmSession& session) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, session.doorbell().get(), nullptr);
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(sessions_, [&session](const auto& held) { return held.get() == &session; });
  }
  changed();
}

uint32_t ShmWorker::session_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<uint32_t>(sessions_.size());
}

bool ShmWorker::serve_all(const Sessions& sessions) noexcept {
  uint32_t served = 0;
  for (const auto& session : sessions) {
    const uint32_t more = session->serve();
    if (more == 0) continue;
    served += more;
    client_cpu_ = session->client_cpu();
  }
  return served != 0;
}

// A turn of one session of the tenant that comes next. Sessions of one tenant take turns.
bool ShmWorker::serve_fairest(const Sessions& sessions) noexcept {
  ShmSession* best = nullptr;
  size_t best_at = 0;
  for (size_t i = 0; i < sessions.size(); i++) {
    const size_t at = (next_session_ + i) % sessions.size();
    ShmSession& session = *sessions[at];
    if (!session.has_work()) continue;
    if (best != nullptr && !share_.comes_before(session.session().tenant(), best->session().tenant())) continue;
    best = &session;
    best_at = at;
  }
  if (best == nullptr) return false;
  next_session_ = best_at + 1;
  const os::Nanoseconds start = os::monotonic_now();
  (void)best->serve(FairShare::kCallsInTurn);
  share_.charge(best->session().tenant(), os::monotonic_now() - start, best->session().weight());
  client_cpu_ = best->client_cpu();
  return true;
}

void ShmWorker::publish_cpu() noexcept {
  // Written only when it changes: clients that wait read the line all the time.
  if (const uint32_t cpu = os::current_cpu(); cpu != line_.cpu.load(std::memory_order_relaxed))
    line_.cpu.store(cpu, std::memory_order_relaxed);
}

bool ShmWorker::wants_attention(const Sessions& sessions, uint64_t seen_changes) const noexcept {
  if (changes_.load(std::memory_order_relaxed) != seen_changes) return true;
  return std::ranges::any_of(sessions, [](const auto& session) { return session->has_work(); });
}

void ShmWorker::sleep(const Sessions& sessions, uint64_t seen_changes, os::Nanoseconds idle_since) noexcept {
  // Sequentially consistent, and then another look: see BoardLine.
  line_.asleep.store(1, std::memory_order_seq_cst);
  if (!wants_attention(sessions, seen_changes)) {
    epoll_event event;
    epoll_wait(epoll_.get(), &event, 1, -1);  // one is enough: whoever else rang is found by looking
  }
  line_.asleep.store(0, std::memory_order_relaxed);
  const os::Nanoseconds now = os::monotonic_now();
  os::Nanoseconds first = now;
  for (const auto& session : sessions)
    if (session->has_work()) first = std::min(first, session->rung_at(idle_since, now));
  spin_.record(first - idle_since);
}

void ShmWorker::run() noexcept {
  Sessions sessions;
  uint64_t seen_changes = 0;
  while (!is_stopping_.load(std::memory_order_acquire)) {
    if (const uint64_t changes = changes_.load(std::memory_order_acquire); changes != seen_changes) {
      seen_changes = changes;
      const std::lock_guard lock(mutex_);
      sessions = sessions_;  // the last reference to a removed session ends here
      has_many_tenants_ = std::ranges::any_of(sessions, [&](const auto& session) {
        return session->session().tenant() != sessions.front()->session().tenant();
      });
    }
    publish_cpu();
    if (has_many_tenants_ ? serve_fairest(sessions) : serve_all(sessions)) continue;
    const os::Nanoseconds idle_since = os::monotonic_now();
    const auto attention = [&] { return wants_attention(sessions, seen_changes); };
    if (spin_.wait(idle_since, attention, [this] { return client_cpu_; })) {
      spin_.record(os::monotonic_now() - idle_since);
      continue;
    }
    sleep(sessions, seen_changes, idle_since);
  }
}

}  // namespace tiara::nic
