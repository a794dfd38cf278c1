#include "apps/pagewalk/rig.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "nic/node/pool_layout.h"
#include "nic/transport/connect.h"
#ifdef TIARA_HAS_RDMA
#include "nic/transport/rdma_channel.h"
#endif
#include "pagetable/protocol.h"
#include "runtime/base/hash.h"
#include "runtime/os/memory.h"

namespace tiara::apps::pagewalk {
namespace {

using std::chrono::milliseconds;

// A node makes its pool and opens a socket: far below a second, but the machine may be busy.
constexpr milliseconds kStartLimit{10'000};
// Each page below its own path of tables, in the worst case.
constexpr uint64_t kFramesPerPage = 5;

// What the node said before it ended: one line, as all of the command's errors.
std::string text_of(const UniqueFd& output) {
  std::array<char, 512> text{};
  const ssize_t length = pread(output.get(), text.data(), text.size(), 0);
  std::string line(text.data(), static_cast<size_t>(std::max<ssize_t>(length, 0)));
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

uint64_t content_word(PageNumber page, uint64_t i) {
  return mix64(page.value * 512 + i + kGoldenGamma);
}

}  // namespace

const char* to_string(Contestant contestant) {
  switch (contestant) {
    case Contestant::kOneSided: return "one-sided";
    case Contestant::kRpc: return "rpc";
    case Contestant::kCached: return "cached";
    case Contestant::kOperator: return "operator";
  }
  return "";
}

const char* to_string(Task task) {
  return task == Task::kWalk ? "walk" : "page";
}

Result<std::unique_ptr<Rig>> Rig::create(const RigOptions& options) {
  std::unique_ptr<Rig> rig(new Rig());
  TIARA_TRY_VOID(rig->start_node(options));
  TIARA_TRY_VOID(rig->connect(options));
  TIARA_TRY_VOID(rig->fill(options));
  return rig;
}

Rig::~Rig() {
  table_.reset();
  channel_.reset();
  transport_.reset();
  if (node_.is_running()) node_.stop(milliseconds(2000));
  if (!folder_.empty()) {
    unlink((folder_ + "/node.sock").c_str());
    rmdir(folder_.c_str());
  }
}

Result<void> Rig::start_node(const RigOptions& options) {
  char folder[] = "/tmp/tiara-pagewalk-XXXXXX";
  if (mkdtemp(folder) == nullptr) return std::unexpected(system_error("mkdtemp", folder));
  folder_ = folder;
  const uint64_t frames = nic::pool::kFirstDataFrame + options.pages * (kFramesPerPage + 1) + 64;
  TIARA_TRY(const UniqueFd output, os::create_memfd("tiara-node-output", Bytes{0}));
  TIARA_TRY(
      node_,
      Child::spawn({.path = "/proc/self/exe",
                    .arguments = {"tiara", "node", "--listen",
                                  options.listen.empty() ? "shm://" + folder_ + "/node.sock" : options.listen,
                                  "--memory", std::to_string(frames << kPageShift), "--levels",
                                  std::to_string(options.levels), "--workers", "1", "--baselines"},
                    .standard_output = output.get(),
                    .standard_error = output.get(),
                    .death_signal = SIGKILL,
                    .cpus = options.node_cpus}));
  for (milliseconds waited{0}; waited < kStartLimit; waited += milliseconds(10)) {
    if (const auto exit = node_.wait_for(milliseconds(10)))
      return fail(ErrorCode::kUnavailable,
                  fmt::format("tiara node {}: {}", exit->describe(), text_of(output)));
    // "tiara node: ... at URL with ...": the port may be one that the kernel chose.
    const std::string said = text_of(output);
    const size_t at = said.find(" at "), end = said.find(" with ", at == std::string::npos ? 0 : at);
    if (at == std::string::npos || end == std::string::npos) continue;
    url_ = said.substr(at + 4, end - at - 4);
    return {};
  }
  return fail(ErrorCode::kTimedOut,
              fmt::format("tiara node did not listen within {} s; is the machine overloaded?",
                          kStartLimit.count() / 1000));
}

Result<void> Rig::connect(const RigOptions& options) {
  nic::ConnectOptions link;
  link.faults = options.faults;
  TIARA_TRY(transport_, nic::connect(url_, link));
  counts_verbs_ = url_.starts_with("rdma://") && !options.faults;
  channel_ = std::make_unique<pagetable::CountingChannel>(*transport_);
  TIARA_TRY(const nic::NodeInfo info, channel_->info());
  if (info.table_levels != options.levels)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the node has tables of {} levels", info.table_levels));
  struct Wanted {
    const char* name;
    nic::OperatorId* id;
  };
  for (const Wanted& wanted :
       {Wanted{pagetable::kRpcWalk, &rpc_walk_}, Wanted{pagetable::kRpcRead, &rpc_read_},
        Wanted{"pt_walk", &pt_walk_}, Wanted{"pt_read", &pt_read_}}) {
    const auto found = std::find_if(info.operators.begin(), info.operators.end(),
                                    [&](const auto& each) { return each.first == wanted.name; });
    if (found == info.operators.end())
      return fail(
          ErrorCode::kUnsupported,
          fmt::format("the node has no operator {}; start it with --baselines", wanted.name));
    *wanted.id = found->second;
  }
  TIARA_TRY(table_, pagetable::RemotePageTable::create(*channel_, {info.max_pages},
                                                       pagetable::Completion::kAtNode));
  return {};
}

VerbsCounts Rig::verbs() const {
#ifdef TIARA_HAS_RDMA
  if (counts_verbs_) {
    const nic::verbs::WorkCounts counts = static_cast<const nic::RdmaChannel&>(*transport_).counts();
    return {counts.sends, counts.arrivals, counts.reads};
  }
#endif
  return {};
}

// Distinct pages all over the space, so that walks share few tables; then where each one lies.
Result<void> Rig::fill(const RigOptions& options) {
  const uint64_t limit = table_->max_pages().value;
  Random random(options.seed);
  std::set<uint64_t> chosen;
  const uint64_t count = std::min(options.pages, limit / 2);
  while (chosen.size() < count) chosen.insert(random.below(limit));
  std::vector<uint64_t> words(kPageSize / sizeof(uint64_t));
  const std::array<const std::byte*, 1> bytes{reinterpret_cast<const std::byte*>(words.data())};
  for (const uint64_t page : chosen) {
    for (uint64_t i = 0; i < words.size(); ++i) words[i] = content_word({page}, i);
    if (table_->write({{page}, 1}, bytes) != pagetable::StoreStatus::kOk)
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("page {} could not be stored on the node", page));
    pages_.push_back({page});
  }
  for (size_t i = pages_.size(); i > 1; --i) std::swap(pages_[i - 1], pages_[random.below(i)]);

  TIARA_TRY(one_sided_, pagetable::OneSidedReader::create(*channel_, table_->space()));
  for (const PageNumber page : pages_) {
    const auto found = one_sided_->walk(page);
    if (found.status != pagetable::StoreStatus::kOk || found.entry == 0)
      return fail(ErrorCode::kUnavailable,
                  fmt::format("page {} is not where it was stored", page.value));
    entries_.push_back(found.entry);
    leaf_words_.push_back(found.entry_offset);
  }
  return {};
}

bool Rig::ask(nic::OperatorId operation, std::span<const uint64_t> arguments,
              std::span<std::byte> room, Task task) {
  const nic::Reply reply = channel_->call({operation, table_->space(), arguments}, room);
  if (reply.call != nic::CallStatus::kAnswered || reply.outcome.status != nic::Status::kOk)
    return false;
  if (task == Task::kPage) return reply.outcome.reply_bytes == kPageSize;
  found_entry_ = reply.outcome.results[pagetable::kWalkEntry];
  return true;
}

bool Rig::find(Contestant contestant, Task task, size_t index) {
  const PageNumber page = pages_[index];
  const std::array<uint64_t, 2> arguments{page.value, 1};  // a walk takes the first
  const auto asked = std::span(arguments).first(task == Task::kWalk ? 1 : 2);
  const std::span<std::byte> room =
      task == Task::kWalk ? std::span<std::byte>() : std::span(found_page_);
  switch (contestant) {
    case Contestant::kOneSided: {
      if (task == Task::kPage) return one_sided_->read(page, room).present != 0;
      const auto found = one_sided_->walk(page);
      found_entry_ = found.entry;
      return found.status == pagetable::StoreStatus::kOk;
    }
    case Contestant::kCached:
      if (task == Task::kPage)
        return one_sided_->read_at(entries_[index], room) == pagetable::StoreStatus::kOk;
      return one_sided_->read_at(leaf_words_[index],
                                 std::as_writable_bytes(std::span(&found_entry_, 1))) ==
             pagetable::StoreStatus::kOk;
    case Contestant::kRpc:
      return ask(task == Task::kWalk ? rpc_walk_ : rpc_read_, asked, room, task);
    case Contestant::kOperator:
      return ask(task == Task::kWalk ? pt_walk_ : pt_read_, asked, room, task);
  }
  return false;
}

bool Rig::is_right(Task task, size_t index) const {
  if (task == Task::kWalk) return found_entry_ == entries_[index];
  const auto* words = reinterpret_cast<const uint64_t*>(found_page_.data());
  for (uint64_t i = 0; i < kPageSize / sizeof(uint64_t); ++i)
    if (words[i] != content_word(pages_[index], i)) return false;
  return true;
}

uint64_t Rig::digest(Task task) const {
  return task == Task::kWalk ? mix64(found_entry_) : hash_page(found_page_.data());
}

}  // namespace tiara::apps::pagewalk
