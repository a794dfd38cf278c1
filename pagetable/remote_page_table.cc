#include "pagetable/remote_page_table.h"

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cinttypes>
#include <string>

#include "pagetable/protocol.h"
#include "runtime/base/check.h"

namespace tiara::pagetable {
namespace {

using nic::pool::FailReason;

// The posted write that stands for "the node was lost": collecting it says so, and a caller that
// waits for a free slot is not left waiting for ever.
constexpr uint32_t kLostWrite = UINT32_MAX - 1;

enum class Verdict : uint8_t { kDone, kTryAgain, kTryLater, kOver };

// Contended: others are at it, and done in a moment. Overloaded: our tenant has used up its operator time and earns
// more by waiting; kContendedAttempts of these take half a second in all, and callers try again until their bound.
void pause_before(Verdict verdict, uint32_t attempt) noexcept {
  if (verdict != Verdict::kTryLater) {
    sched_yield();
    return;
  }
  const timespec pause{0, static_cast<long>(std::min<uint64_t>(uint64_t{50'000} << std::min(attempt, 20u), 8'000'000))};
  syscall(SYS_nanosleep, &pause, nullptr);
}

// What an answer means before its results are looked at. kOver: `status` is the call's result.
Verdict judge(const nic::Reply& reply, StoreStatus& status) noexcept {
  if (reply.call == nic::CallStatus::kNodeLost) {
    status = StoreStatus::kNodeLost;
    return Verdict::kOver;
  }
  switch (reply.outcome.status) {
    case nic::Status::kOk: return Verdict::kDone;
    case nic::Status::kRefused:
      if (reply.outcome.code == static_cast<uint16_t>(nic::Refusal::kQuota)) {
        status = StoreStatus::kNodeFull;
        return Verdict::kOver;
      }
      if (reply.outcome.code != static_cast<uint16_t>(nic::Refusal::kOverloaded)) break;
      status = StoreStatus::kContended;
      return Verdict::kTryLater;
    case nic::Status::kFailed:  // contended; or page numbers out of range, which callers never send
      if (reply.outcome.code != static_cast<uint16_t>(FailReason::kContended)) break;
      status = StoreStatus::kContended;
      return Verdict::kTryAgain;
    case nic::Status::kFault: break;
  }
  status = StoreStatus::kCorrupt;
  return Verdict::kOver;
}

StoreStatus status_of_reason(uint64_t reason) noexcept {
  if (reason == 0) return StoreStatus::kOk;
  if (reason == reason_word(FailReason::kNoMemory)) return StoreStatus::kNodeFull;
  if (reason == reason_word(FailReason::kContended)) return StoreStatus::kContended;
  return StoreStatus::kCorrupt;
}

// Judges a pt_write answer; `missing` becomes the bitmap of the pages that were not stored.
StoreStatus judge_write(const nic::Reply& reply, uint64_t asked, uint64_t& missing) noexcept {
  StoreStatus status = StoreStatus::kOk;
  if (judge(reply, status) != Verdict::kDone) return status;
  const uint64_t left = reply.outcome.results[kWriteMissing];
  const uint64_t reason = reply.outcome.results[kWriteReason];
  if ((left & ~asked) != 0 || (left == 0) != (reason == 0)) return StoreStatus::kCorrupt;
  missing = left;
  return status_of_reason(reason);
}

using PageSpans = std::array<std::span<const std::byte>, nic::kMaxPagesPerInvocation>;

// The payload of the pages of `wanted`, a subset of the batch whose bytes are `pages`.
std::span<const std::span<const std::byte>> payload_of(PageBatch batch, uint64_t wanted,
                                                       std::span<const std::byte* const> pages,
                                                       PageSpans& spans) noexcept {
  size_t index = 0, count = 0;
  for (uint64_t rest = batch.bitmap; rest != 0; rest &= rest - 1, ++index)
    if ((wanted & rest & -rest) != 0) spans[count++] = {pages[index], kPageSize};
  return {spans.data(), count};
}

}  // namespace

Result<RemotePageTable::Operators> RemotePageTable::find_operators(const nic::NodeInfo& info,
                                                                   PageCount max_pages) {
  Operators operators;
  struct Wanted {
    const char* name;
    nic::OperatorId* id;
  };
  for (const Wanted& wanted :
       {Wanted{"pt_read", &operators.read}, Wanted{"pt_chase", &operators.chase},
        Wanted{"pt_write", &operators.write}, Wanted{"pt_discard", &operators.discard},
        Wanted{"pt_stat", &operators.stat}}) {
    bool is_found = false;
    for (const auto& [name, id] : info.operators) {
      if (name != wanted.name) continue;
      *wanted.id = id;
      is_found = true;
    }
    if (!is_found)
      return fail(ErrorCode::kUnsupported, std::string("the memory node has no operator ") +
                                               wanted.name +
                                               "; run a node of this version of tiara");
  }
  if (max_pages.value > info.max_pages)
    return fail(ErrorCode::kResourceExhausted,
                "an address space of " + std::to_string(max_pages.value) +
                    " pages is too large for this node (" + std::to_string(info.max_pages) +
                    "); start the node with a deeper page table");
  return operators;
}

Result<std::unique_ptr<RemotePageTable>> RemotePageTable::create(nic::Channel& channel,
                                                                 PageCount max_pages,
                                                                 Completion completion) {
  TIARA_TRY(const nic::NodeInfo info, channel.info());
  TIARA_TRY(const Operators operators, find_operators(info, max_pages));
  TIARA_TRY(const nic::AddressSpaceId space, channel.create_space(max_pages.value));
  return std::unique_ptr<RemotePageTable>(
      new RemotePageTable(channel, space, max_pages, operators, completion));
}

Result<std::unique_ptr<RemotePageTable>> RemotePageTable::adopt(nic::Channel& channel,
                                                                const nic::ClonedSpace& clone,
                                                                PageCount max_pages,
                                                                Completion completion) {
  TIARA_TRY(const nic::NodeInfo info, channel.info());
  TIARA_TRY(const Operators operators, find_operators(info, max_pages));
  TIARA_TRY_VOID(channel.adopt_space(clone));
  return std::unique_ptr<RemotePageTable>(
      new RemotePageTable(channel, clone.space, max_pages, operators, completion));
}

RemotePageTable::RemotePageTable(nic::Channel& channel, nic::AddressSpaceId space,
                                 PageCount max_pages, Operators operators,
                                 Completion completion) noexcept
    : channel_(channel),
      space_(space),
      max_pages_(max_pages),
      operators_(operators),
      completion_(completion) {}

RemotePageTable::~RemotePageTable() {
  // A node that is lost, or gets lost here, reaps the space by itself.
  if (!channel_.is_lost()) (void)channel_.destroy_space(space_);
}

ReadResult RemotePageTable::read(PageBatch batch, std::span<std::byte> out) noexcept {
  if (batch.bitmap == 0) return {StoreStatus::kOk, 0};
  TIARA_CHECK(out.size() >= (static_cast<size_t>(std::popcount(batch.bitmap)) << kPageShift));
  const std::array<uint64_t, 2> arguments{batch.first.value, batch.bitmap};
  StoreStatus status = StoreStatus::kContended;
  for (uint32_t attempt = 0; attempt < kContendedAttempts; ++attempt) {
    const nic::Reply reply = channel_.call({operators_.read, space_, arguments}, out);
    const Verdict verdict = judge(reply, status);
    switch (verdict) {
      case Verdict::kTryAgain:
      case Verdict::kTryLater: pause_before(verdict, attempt); continue;
      case Verdict::kOver: return {status, 0};
      case Verdict::kDone: break;
    }
    const uint64_t present = reply.outcome.results[kReadPresent];
    if ((present & ~batch.bitmap) != 0 ||
        reply.outcome.reply_bytes != static_cast<uint64_t>(std::popcount(present)) << kPageShift)
      return {StoreStatus::kCorrupt, 0};
    return {StoreStatus::kOk, present};
  }
  return {status, 0};
}

ChaseResult RemotePageTable::chase(const Chase& chase, std::span<std::byte> out) noexcept {
  TIARA_CHECK(chase.looks >= 1 && chase.looks <= kMostChaseLooks && chase.page < PageNumber{max_pages_.value});
  const size_t room = chase.looks * sizeof(ChasedPage);
  TIARA_CHECK(out.size() >= room);
  const std::array<uint64_t, 5> arguments{chase.page.value, chase.link, chase.base, chase.link_offset, chase.looks};
  StoreStatus status = StoreStatus::kContended;
  for (uint32_t attempt = 0; attempt < kContendedAttempts; ++attempt) {
    const nic::Reply reply = channel_.call({operators_.chase, space_, arguments}, out.first(room));
    const Verdict verdict = judge(reply, status);
    switch (verdict) {
      case Verdict::kTryAgain:
      case Verdict::kTryLater: pause_before(verdict, attempt); continue;
      case Verdict::kOver: return {status, 0};
      case Verdict::kDone: break;
    }
    const uint64_t count = reply.outcome.results[kChasePages];
    if (count > chase.looks || reply.outcome.reply_bytes != count * sizeof(ChasedPage))
      return {StoreStatus::kCorrupt, 0};
    if (count > 0 && reinterpret_cast<const ChasedPage*>(out.data())->number != chase.page.value)
      return {StoreStatus::kCorrupt, 0};
    return {StoreStatus::kOk, static_cast<uint32_t>(count)};
  }
  return {status, 0};
}

StoreStatus RemotePageTable::write(PageBatch batch,
                                   std::span<const std::byte* const> pages) noexcept {
  TIARA_CHECK(pages.size() == static_cast<size_t>(std::popcount(batch.bitmap)));
  PageSpans spans;
  uint64_t missing = batch.bitmap;
  StoreStatus status = StoreStatus::kOk;
  Verdict verdict = Verdict::kDone;
  for (uint32_t attempt = 0; missing != 0 && attempt < kContendedAttempts; ++attempt) {
    if (attempt != 0) pause_before(verdict, attempt);
    const std::array<uint64_t, 2> arguments{batch.first.value, missing};
    const nic::Reply reply = channel_.call(
        {operators_.write, space_, arguments, payload_of(batch, missing, pages, spans)}, {});
    verdict = judge(reply, status);
    status = judge_write(reply, missing, missing);
    if (status != StoreStatus::kOk && status != StoreStatus::kContended) break;
  }
  return status;
}

StoreStatus RemotePageTable::discard(PageRange range) noexcept {
  uint64_t next = range.first.value;
  const uint64_t end = range.end().value;
  uint32_t attempts = 0;  // without progress
  while (next < end) {
    const std::array<uint64_t, 2> arguments{next, end - next};
    const nic::Reply reply = channel_.call({operators_.discard, space_, arguments}, {});
    StoreStatus status = StoreStatus::kOk;
    const Verdict verdict = judge(reply, status);
    if (verdict == Verdict::kOver) return status;
    if (verdict == Verdict::kDone) {
      status = status_of_reason(reply.outcome.results[kDiscardReason]);
      const uint64_t reached = reply.outcome.results[kDiscardNext];
      if (reached < next || reached > end || (reached == next && status == StoreStatus::kOk))
        return StoreStatus::kCorrupt;
      if (reached > next) attempts = 0;
      next = reached;
      if (status == StoreStatus::kOk) continue;
    }
    if (status != StoreStatus::kContended || ++attempts == kContendedAttempts) return status;
    pause_before(verdict, attempts);
  }
  return StoreStatus::kOk;
}

PageStore::PendingWrite RemotePageTable::post_write(
    PageBatch batch, std::span<const std::byte* const> pages) noexcept {
  TIARA_CHECK(batch.bitmap != 0 &&
              pages.size() == static_cast<size_t>(std::popcount(batch.bitmap)));
  PageSpans spans;
  const std::array<uint64_t, 2> arguments{batch.first.value, batch.bitmap};
  const nic::Ticket ticket = channel_.post(
      {operators_.write, space_, arguments, payload_of(batch, batch.bitmap, pages, spans)}, {});
  if (ticket.is_valid()) return {ticket.value};
  return {channel_.is_lost() ? kLostWrite : UINT32_MAX};
}

bool RemotePageTable::is_done(PendingWrite pending) noexcept {
  TIARA_CHECK(pending.is_valid());
  return pending.value == kLostWrite || channel_.is_done({pending.value});
}

StoreStatus RemotePageTable::collect(PendingWrite pending) noexcept {
  TIARA_CHECK(pending.is_valid());
  if (pending.value == kLostWrite) return StoreStatus::kNodeLost;
  // The batch is not remembered: any bit may be missing, and one is enough to know that it was not
  // all stored.
  uint64_t missing = 0;
  return judge_write(channel_.collect({pending.value}), UINT64_MAX, missing);
}

Result<RemotePageTable::Usage> RemotePageTable::usage() noexcept {
  const std::array<uint64_t, 2> arguments{0, 1};
  const nic::Reply reply = channel_.call({operators_.stat, space_, arguments}, {});
  StoreStatus status = StoreStatus::kOk;
  if (judge(reply, status) != Verdict::kDone)
    return fail(ErrorCode::kUnavailable,
                "the memory node did not answer pt_stat; see whether it still runs");
  return Usage{{reply.outcome.results[kStatPages]}, {reply.outcome.results[kStatTables]}};
}

}  // namespace tiara::pagetable
