// The far page table as the pager sees it: a PageStore over a channel to one memory node, one
// address space of it. The walk happens on the node, in the operators of this folder; no remote
// address is kept here.
#pragma once

#include <memory>

#include "nic/transport/channel.h"
#include "pagetable/page_store.h"
#include "runtime/base/error.h"

namespace tiara::pagetable {

// Who executes a call: the calling thread itself (loop transport), or the node while the caller
// waits.
enum class Completion : uint8_t { kInCaller, kAtNode };

// How often a call is sent again when the node was contended or overloaded, before the caller hears
// of it. Each attempt has 64 compare-and-swap tries per frame behind it: running out means
// something is wrong, or starved.
inline constexpr uint32_t kContendedAttempts = 64;

class RemotePageTable final : public PageStore {
 public:
  // Makes an address space for page numbers below max_pages.value on the node behind `channel`,
  // which must outlive the result. Fails with kUnsupported when the node lacks one of the
  // page-table operators.
  static Result<std::unique_ptr<RemotePageTable>> create(nic::Channel& channel, PageCount max_pages,
                                                         Completion completion);
  // Takes over the clone of an address space, which another channel of the same tenant had made.
  static Result<std::unique_ptr<RemotePageTable>> adopt(nic::Channel& channel,
                                                        const nic::ClonedSpace& clone,
                                                        PageCount max_pages, Completion completion);
  // Gives the address space back, unless the node is lost (then the node reaps it).
  ~RemotePageTable() override;

  ReadResult read(PageBatch batch, std::span<std::byte> out) noexcept override;
  ChaseResult chase(const Chase& chase, std::span<std::byte> out) noexcept override;
  StoreStatus write(PageBatch batch, std::span<const std::byte* const> pages) noexcept override;
  StoreStatus discard(PageRange range) noexcept override;

  PendingWrite post_write(PageBatch batch,
                          std::span<const std::byte* const> pages) noexcept override;
  bool is_done(PendingWrite pending) noexcept override;
  StoreStatus collect(PendingWrite pending) noexcept override;

  bool is_synchronous() const noexcept override { return completion_ == Completion::kInCaller; }

  // What the node counts for this space. One invocation.
  struct Usage {
    PageCount pages;
    PageCount tables;
  };
  Result<Usage> usage() noexcept;

  // A copy of all pages, in constant time. Calls of this moment wait. The clone is the channel's,
  // until somebody adopts it.
  Result<nic::ClonedSpace> clone(nic::CloneKind kind) {
    return channel_.clone_space(space_, kind);
  }

  nic::AddressSpaceId space() const noexcept { return space_; }
  PageCount max_pages() const noexcept { return max_pages_; }

 private:
  struct Operators {
    nic::OperatorId read, chase, write, discard, stat;
  };
  static Result<Operators> find_operators(const nic::NodeInfo& info, PageCount max_pages);

  RemotePageTable(nic::Channel& channel, nic::AddressSpaceId space, PageCount max_pages,
                  Operators operators, Completion completion) noexcept;

  nic::Channel& channel_;
  const nic::AddressSpaceId space_;
  const PageCount max_pages_;
  const Operators operators_;
  const Completion completion_;
};

}  // namespace tiara::pagetable
