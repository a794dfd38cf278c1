#include "apps/node/shares.h"

#include <array>
#include <atomic>
#include <thread>

#include "nic/asm/assembler.h"

namespace tiara::apps::node {
namespace {

// Some tens of microseconds at the node, and next to nothing at the client: counts to its argument, in vain.
constexpr std::string_view kBusy = R"(
.operator busy
.version 1
.arg n 0 100000
.results 1
  loop r1, r0, 100000 {
    li r2, 1
  }
  ret 1
)";
constexpr uint64_t kTurns = 20'000;
// Of each client: there is always a call that waits. A channel keeps some of its slots for calls that are not posted.
constexpr uint32_t kUnderWay = 4, kSlots = 16;

struct Caller {
  std::unique_ptr<nic::Channel> channel;
  nic::OperatorId operation;
  uint64_t calls = 0, wrong = 0;

  // One answer; whether it was the right one.
  bool take(nic::Ticket ticket) {
    if (!ticket.is_valid()) return false;
    const nic::Reply reply = channel->collect(ticket);
    return reply.call == nic::CallStatus::kAnswered && reply.outcome.status == nic::Status::kOk;
  }

  void run(const std::atomic<bool>& is_over) {
    const std::array<uint64_t, 1> arguments{kTurns};
    const nic::Request request{operation, {}, arguments};
    std::array<nic::Ticket, kUnderWay> tickets;
    for (nic::Ticket& ticket : tickets) ticket = channel->post(request, {});
    while (!is_over.load(std::memory_order_relaxed)) {
      for (nic::Ticket& ticket : tickets) {
        if (!take(ticket)) wrong++;
        calls++;
        ticket = channel->post(request, {});
      }
    }
    for (const nic::Ticket ticket : tickets)
      if (!take(ticket)) wrong++;
  }
};

}  // namespace

Result<Shares> measure_shares(const Options& options) {
  TIARA_TRY(const auto node, NodeProcess::start(options, 2));
  TIARA_TRY(const nic::Program busy, nic::assemble(kBusy, "busy.tiara"));
  const std::vector<std::byte> container = nic::serialize(busy);
  std::vector<Caller> callers(std::max(options.busy_clients, 2u));  // the first is the one
  for (size_t i = 0; i < callers.size(); i++) {
    TIARA_TRY(callers[i].channel, node->connect(kSlots, i == 0 ? 0 : 1));
    TIARA_TRY(callers[i].operation, callers[i].channel->register_operator(container));
  }
  std::atomic<bool> is_over{false};
  std::vector<std::jthread> threads;
  for (Caller& caller : callers) threads.emplace_back([&caller, &is_over] { caller.run(is_over); });
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds * 8));
  is_over = true;
  threads.clear();
  Shares shares;
  shares.clients_of_many = static_cast<uint32_t>(callers.size() - 1);
  shares.calls_of_one = callers[0].calls;
  for (size_t i = 1; i < callers.size(); i++) shares.calls_of_many += callers[i].calls;
  for (const Caller& caller : callers) shares.wrong += caller.wrong;
  return shares;
}

}  // namespace tiara::apps::node
