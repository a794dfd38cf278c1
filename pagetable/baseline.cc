#include "pagetable/baseline.h"

#include <array>
#include <bit>
#include <cstring>

#include "nic/node/pool_layout.h"
#include "pagetable/protocol.h"
#include "pagetable/reference_walk.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;

nic::Outcome failed(layout::FailReason reason) noexcept {
  nic::Outcome outcome;
  outcome.status = nic::Status::kFailed;
  outcome.code = static_cast<uint16_t>(reason);
  return outcome;
}

nic::Outcome refused(nic::Refusal reason) noexcept {
  nic::Outcome outcome;
  outcome.code = static_cast<uint16_t>(reason);
  return outcome;
}

std::span<const std::byte> pool_of(const nic::Invocation& invocation) noexcept {
  return {invocation.regions[0].base, invocation.regions[0].size};
}

const layout::SpaceDescriptor& space_of(const nic::Invocation& invocation) noexcept {
  return *reinterpret_cast<const layout::SpaceDescriptor*>(invocation.regions[1].base);
}

nic::Outcome rpc_walk(const nic::Invocation& invocation) noexcept {
  if (invocation.arguments.size() != 1) return refused(nic::Refusal::kArgumentCount);
  const WalkResult found =
      walk(pool_of(invocation), space_of(invocation), {invocation.arguments[0]});
  if (found.end == WalkEnd::kPageRange) return failed(layout::FailReason::kPageRange);
  if (found.end == WalkEnd::kCorrupt) return failed(layout::FailReason::kCorrupt);
  nic::Outcome outcome;
  outcome.status = nic::Status::kOk;
  outcome.results[kWalkEntry] = found.entry;
  return outcome;
}

// As pt_read: neighbours in the leaf table that was found last are not walked to again.
nic::Outcome rpc_read(const nic::Invocation& invocation) noexcept {
  if (invocation.arguments.size() != 2) return refused(nic::Refusal::kArgumentCount);
  const auto pool = pool_of(invocation);
  const auto& space = space_of(invocation);
  const uint64_t first = invocation.arguments[0];
  nic::Outcome outcome;
  uint64_t leaf_table = 0, leaf_number = UINT64_MAX;
  for (uint64_t rest = invocation.arguments[1]; rest != 0; rest &= rest - 1) {
    const uint64_t page = first + static_cast<uint64_t>(std::countr_zero(rest));
    uint64_t entry = 0;
    if (leaf_table != 0 && page >> layout::kBitsPerLevel == leaf_number && page < space.max_pages) {
      entry = load_word(pool, leaf_table + layout::entry_index(page, 1) * sizeof(uint64_t));
    } else {
      const WalkResult found = walk(pool, space, {page});
      if (found.end == WalkEnd::kPageRange) return failed(layout::FailReason::kPageRange);
      if (found.end == WalkEnd::kCorrupt) return failed(layout::FailReason::kCorrupt);
      leaf_table = found.leaf_table;
      leaf_number = page >> layout::kBitsPerLevel;
      entry = found.entry;
    }
    if (entry == 0) continue;
    entry &= ~layout::kEntryFlagsMask;
    if (!is_frame_inside(pool, entry)) return failed(layout::FailReason::kCorrupt);
    if (invocation.reply.size() - outcome.reply_bytes < kPageSize)
      return refused(nic::Refusal::kReplyRoom);
    std::memcpy(invocation.reply.data() + outcome.reply_bytes, pool.data() + entry, kPageSize);
    outcome.reply_bytes += kPageSize;
    outcome.results[kReadPresent] |= rest & -rest;
  }
  outcome.status = nic::Status::kOk;
  outcome.counts.bytes_moved = outcome.reply_bytes;
  return outcome;
}

StoreStatus one_sided_read(nic::Channel& channel, uint64_t offset,
                           std::span<std::byte> out) noexcept {
  const std::array<uint64_t, 2> arguments{offset, out.size()};
  const nic::Reply reply = channel.call({nic::kOneSidedRead, {}, arguments}, out);
  if (reply.call == nic::CallStatus::kNodeLost) return StoreStatus::kNodeLost;
  const bool is_whole =
      reply.outcome.status == nic::Status::kOk && reply.outcome.reply_bytes == out.size();
  return is_whole ? StoreStatus::kOk : StoreStatus::kCorrupt;
}

}  // namespace

std::vector<nic::NativeOperator> baseline_operators() {
  return {{kRpcWalk, rpc_walk}, {kRpcRead, rpc_read}};
}

Result<OneSidedReader> OneSidedReader::create(nic::Channel& channel, nic::AddressSpaceId space) {
  // The low bits of an address space's name are the index of its descriptor.
  const uint64_t offset = layout::descriptor_offset(space.value % layout::kMaxSpaces);
  layout::SpaceDescriptor descriptor;
  if (one_sided_read(channel, offset, std::as_writable_bytes(std::span(&descriptor, 1))) !=
      StoreStatus::kOk)
    return fail(ErrorCode::kNoPermission,
                "the node does not answer one-sided reads; start it with --baselines");
  if (descriptor.root == 0 || descriptor.levels < 1 || descriptor.levels > layout::kMaxLevels)
    return fail(ErrorCode::kNotFound, "the address space has no table to walk; store a page first");
  return OneSidedReader(channel, descriptor.root & ~layout::kEntryFlagsMask,
                        static_cast<uint32_t>(descriptor.levels));
}

OneSidedReader::Translation OneSidedReader::walk(PageNumber page) noexcept {
  Translation result;
  uint64_t table = root_;
  for (uint32_t level = levels_; level > 0; --level) {
    uint64_t entry = 0;
    result.entry_offset = table + layout::entry_index(page.value, level) * sizeof(uint64_t);
    result.status = one_sided_read(*channel_, result.entry_offset,
                                   std::as_writable_bytes(std::span(&entry, 1)));
    if (result.status != StoreStatus::kOk || entry == 0) return result;
    table = entry & ~layout::kEntryFlagsMask;
  }
  result.entry = table;
  return result;
}

StoreStatus OneSidedReader::read_at(uint64_t offset, std::span<std::byte> out) noexcept {
  return one_sided_read(*channel_, offset, out);
}

ReadResult OneSidedReader::read(PageNumber page, std::span<std::byte> out) noexcept {
  const Translation found = walk(page);
  if (found.status != StoreStatus::kOk || found.entry == 0) return {found.status, 0};
  const StoreStatus status = read_at(found.entry, out.first(kPageSize));
  return {status, status == StoreStatus::kOk ? uint64_t{1} : 0};
}

}  // namespace tiara::pagetable
