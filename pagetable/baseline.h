// What the operators are measured against, each written as well as its kind allows and over the
// same channel:
//
//   one-sided  the client walks: one READ per level, then one for the page; the root is known
//   beforehand cached     the client knows the page's offset already: one READ. What a flat remote
//   memory can do, and the
//              floor of every walk; it cannot survive a page being moved, shared or freed behind
//              its back
//   RPC        a plain C++ -O2 walk on the node's CPU: one round trip
//
// All need a node that was started for baselines: one-sided reads see every tenant's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nic/node/operator_registry.h"
#include "nic/transport/channel.h"
#include "pagetable/page_store.h"
#include "runtime/base/error.h"

namespace tiara::pagetable {

// For NodeConfig::natives. Same arguments and results as pt_walk and pt_read.
inline constexpr const char* kRpcWalk = "rpc_walk";
inline constexpr const char* kRpcRead = "rpc_read";
std::vector<nic::NativeOperator> baseline_operators();

// Reads one address space's table and pages with one-sided READs. Thread-safe, no allocation after
// create().
class OneSidedReader {
 public:
  // Reads the descriptor (root and depth), as a client would when it connects. The root must exist:
  // store a page first. `channel` must outlive the reader.
  static Result<OneSidedReader> create(nic::Channel& channel, nic::AddressSpaceId space);

  struct Translation {
    StoreStatus status = StoreStatus::kNodeLost;
    uint64_t entry = 0;         // pool offset of the page; 0 when absent
    uint64_t entry_offset = 0;  // where in the pool that entry stands
  };
  // `levels` READs of 8 bytes (fewer when a table is missing).
  Translation walk(PageNumber page) noexcept;
  // One READ of `out.size()` bytes at pool offset `offset`: a page whose translation is cached.
  StoreStatus read_at(uint64_t offset, std::span<std::byte> out) noexcept;
  // walk(), then read_at().
  ReadResult read(PageNumber page, std::span<std::byte> out) noexcept;

  uint32_t levels() const noexcept { return levels_; }

 private:
  OneSidedReader(nic::Channel& channel, uint64_t root, uint32_t levels) noexcept
      : channel_(&channel), root_(root), levels_(levels) {}
  nic::Channel* channel_;
  uint64_t root_;  // pool offset
  uint32_t levels_;
};

}  // namespace tiara::pagetable
