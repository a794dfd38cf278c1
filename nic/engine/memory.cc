#include "nic/engine/memory.h"

#include "nic/engine/remote_port.h"

namespace tiara::nic {
namespace {

// Where element i of a strided or listed operation stands in its region.
template <typename OffsetOf>
Fault check_elements(const Region& region, uint64_t count, uint64_t bytes, OffsetOf&& offset_of) noexcept {
  for (uint64_t i = 0; i < count; ++i)
    if (!is_inside(offset_of(i), bytes, region.size)) return Fault::kRegionBounds;
  return Fault::kNone;
}

// Bytes that travel into a region. A free frame's first word is its link: a thread that is about to lose the race for
// the frame may still read it while the winner fills the frame, and discards what it read (docs/pagetable.md). So the
// words of a bulk write are in truth relaxed atomic ones; ThreadSanitizer has to be told, memcpy does the same faster.
void copy_in(std::byte* to, const std::byte* from, uint64_t length) noexcept {
#ifdef __SANITIZE_THREAD__
  for (; length >= 8 && reinterpret_cast<uintptr_t>(to) % 8 == 0; to += 8, from += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    __atomic_store_n(reinterpret_cast<uint64_t*>(to), word, __ATOMIC_RELAXED);
  }
#endif
  memcpy(to, from, length);
}

// Are `count` elements of `bytes` at most `room`? `bytes` is at least 1.
bool fits(uint64_t count, uint64_t bytes, uint64_t room) { return count <= room / bytes; }

}  // namespace

Fault Machine::gather(uint32_t region_number, uint64_t offset, uint64_t length) noexcept {
  const Region& region = regions[region_number];
  if (!allows(region.permission, Permission::kRead)) return Fault::kRegionPermission;
  if (length > reply.size() - reply_bytes) return Fault::kReplyBounds;
  if (!is_inside(offset, length, region.size)) return Fault::kRegionBounds;
  if (length != 0) memcpy(reply.data() + reply_bytes, region.base + offset, length);
  reply_bytes += length;
  counts.bytes_moved += length;
  return Fault::kNone;
}

Fault Machine::gather_strided(uint32_t region_number, uint64_t offset, uint64_t stride, uint64_t count,
                              uint64_t bytes) noexcept {
  const Region& region = regions[region_number];
  const auto offset_of = [&](uint64_t i) { return offset + i * stride; };
  if (!allows(region.permission, Permission::kRead)) return Fault::kRegionPermission;
  if (!fits(count, bytes, reply.size() - reply_bytes)) return Fault::kReplyBounds;
  if (const Fault fault = check_elements(region, count, bytes, offset_of); fault != Fault::kNone) return fault;
  for (uint64_t i = 0; i < count; ++i)
    memcpy(reply.data() + reply_bytes + i * bytes, region.base + offset_of(i), bytes);
  reply_bytes += count * bytes;
  counts.bytes_moved += count * bytes;
  return Fault::kNone;
}

Fault Machine::gather_list(uint32_t region_number, uint64_t offset, uint64_t list, uint64_t count,
                           uint64_t bytes) noexcept {
  const Region& region = regions[region_number];
  const auto offset_of = [&](uint64_t i) { return offset + load_from<uint64_t>(scratchpad.data() + list + i * 8); };
  if (!allows(region.permission, Permission::kRead)) return Fault::kRegionPermission;
  if (!fits(count, bytes, reply.size() - reply_bytes)) return Fault::kReplyBounds;
  if (!fits(count, 8, scratchpad.size()) || !is_inside(list, count * 8, scratchpad.size()))
    return Fault::kScratchpadBounds;
  if (const Fault fault = check_elements(region, count, bytes, offset_of); fault != Fault::kNone) return fault;
  for (uint64_t i = 0; i < count; ++i)
    memcpy(reply.data() + reply_bytes + i * bytes, region.base + offset_of(i), bytes);
  reply_bytes += count * bytes;
  counts.bytes_moved += count * bytes;
  return Fault::kNone;
}

Fault Machine::scatter(uint32_t region_number, uint64_t offset, uint64_t from, uint64_t length) noexcept {
  const Region& region = regions[region_number];
  if (!allows(region.permission, Permission::kWrite)) return Fault::kRegionPermission;
  if (!is_inside(from, length, payload.size())) return Fault::kPayloadBounds;
  if (!is_inside(offset, length, region.size)) return Fault::kRegionBounds;
  if (length != 0) copy_in(region.base + offset, payload.data() + from, length);
  counts.bytes_moved += length;
  return Fault::kNone;
}

Fault Machine::scatter_strided(uint32_t region_number, uint64_t offset, uint64_t from, uint64_t stride, uint64_t count,
                               uint64_t bytes) noexcept {
  const Region& region = regions[region_number];
  const auto offset_of = [&](uint64_t i) { return offset + i * stride; };
  if (!allows(region.permission, Permission::kWrite)) return Fault::kRegionPermission;
  if (!fits(count, bytes, payload.size()) || !is_inside(from, count * bytes, payload.size()))
    return Fault::kPayloadBounds;
  if (const Fault fault = check_elements(region, count, bytes, offset_of); fault != Fault::kNone) return fault;
  for (uint64_t i = 0; i < count; ++i) copy_in(region.base + offset_of(i), payload.data() + from + i * bytes, bytes);
  counts.bytes_moved += count * bytes;
  return Fault::kNone;
}

Fault Machine::scatter_list(uint32_t region_number, uint64_t offset, uint64_t from, uint64_t list, uint64_t count,
                            uint64_t bytes) noexcept {
  const Region& region = regions[region_number];
  const auto offset_of = [&](uint64_t i) { return offset + load_from<uint64_t>(scratchpad.data() + list + i * 8); };
  if (!allows(region.permission, Permission::kWrite)) return Fault::kRegionPermission;
  if (!fits(count, bytes, payload.size()) || !is_inside(from, count * bytes, payload.size()))
    return Fault::kPayloadBounds;
  if (!fits(count, 8, scratchpad.size()) || !is_inside(list, count * 8, scratchpad.size()))
    return Fault::kScratchpadBounds;
  if (const Fault fault = check_elements(region, count, bytes, offset_of); fault != Fault::kNone) return fault;
  for (uint64_t i = 0; i < count; ++i) memcpy(region.base + offset_of(i), payload.data() + from + i * bytes, bytes);
  counts.bytes_moved += count * bytes;
  return Fault::kNone;
}

Fault Machine::fill(uint32_t region_number, uint64_t offset, uint64_t length, uint64_t value) noexcept {
  const Region& region = regions[region_number];
  if (const Fault fault = check_access(region, Permission::kWrite, offset, length); fault != Fault::kNone) return fault;
  if (length != 0) memset(region.base + offset, static_cast<int>(value & 0xff), length);
  counts.bytes_moved += length;
  return Fault::kNone;
}

Fault Machine::copy(uint32_t region_number, uint64_t offset, uint32_t from_region, uint64_t from,
                    uint64_t length) noexcept {
  const Region& to = regions[region_number];
  const Region& source = regions[from_region];
  if (!allows(to.permission, Permission::kWrite) || !allows(source.permission, Permission::kRead))
    return Fault::kRegionPermission;
  if (!is_inside(offset, length, to.size) || !is_inside(from, length, source.size)) return Fault::kRegionBounds;
  if (length != 0) memmove(to.base + offset, source.base + from, length);
  counts.bytes_moved += length;
  return Fault::kNone;
}

Fault Machine::emit(uint64_t value) noexcept {
  if (reply.size() - reply_bytes < 8) return Fault::kReplyBounds;
  memcpy(reply.data() + reply_bytes, &value, 8);
  reply_bytes += 8;
  return Fault::kNone;
}

Fault Machine::load_payload(uint64_t offset, uint64_t& value) const noexcept {
  if (!is_inside(offset, 8, payload.size())) return Fault::kPayloadBounds;
  value = load_from<uint64_t>(payload.data() + offset);
  return Fault::kNone;
}

Fault Machine::load_line(uint32_t region_number, uint64_t offset, uint32_t pad) noexcept {
  const Region& region = regions[region_number];
  if (!allows(region.permission, Permission::kRead)) return Fault::kRegionPermission;
  if (offset % kLineBytes != 0) return Fault::kMisaligned;
  if (!is_inside(pad, kLineBytes, scratchpad.size())) return Fault::kScratchpadBounds;
  if (!is_inside(offset, kLineBytes, region.size)) return Fault::kRegionBounds;
  // Word by word: each 8-byte entry of a line is whole, whoever writes beside us.
  for (uint32_t i = 0; i < kLineBytes; i += 8)
    store_to(scratchpad.data() + pad + i, load_from<uint64_t>(region.base + offset + i));
  ++counts.lines;
  return Fault::kNone;
}

namespace {

Fault check_remote(const RemotePort* port, uint64_t offset) noexcept {
  if (offset % 8 != 0) return Fault::kMisaligned;
  return port != nullptr ? Fault::kNone : Fault::kRemoteUnavailable;
}

}  // namespace

Fault Machine::remote_load(uint64_t host, uint32_t region, uint64_t offset, uint64_t& value) noexcept {
  Fault fault = check_remote(remote, offset);
  uint64_t got = 0;
  if (fault == Fault::kNone) fault = remote->load({host, region, offset}, got);
  if (fault != Fault::kNone) return fault;
  value = got;
  ++counts.remote_operations;
  return Fault::kNone;
}

Fault Machine::remote_store(uint64_t host, uint32_t region, uint64_t offset, uint64_t value) noexcept {
  Fault fault = check_remote(remote, offset);
  if (fault == Fault::kNone) fault = remote->store({host, region, offset}, value);
  if (fault == Fault::kNone) ++counts.remote_operations;
  return fault;
}

Fault Machine::remote_cas(uint64_t host, uint32_t region, uint64_t offset, uint64_t desired,
                          uint64_t& expected_in_old_out) noexcept {
  uint64_t old = 0;
  Fault fault = check_remote(remote, offset);
  if (fault == Fault::kNone)
    fault = remote->compare_and_swap({host, region, offset}, expected_in_old_out, desired, old);
  if (fault != Fault::kNone) return fault;
  expected_in_old_out = old;
  ++counts.remote_operations;
  return Fault::kNone;
}

Fault Machine::remote_faa(uint64_t host, uint32_t region, uint64_t offset, uint64_t addend, uint64_t& old) noexcept {
  Fault fault = check_remote(remote, offset);
  uint64_t got = 0;
  if (fault == Fault::kNone) fault = remote->fetch_and_add({host, region, offset}, addend, got);
  if (fault != Fault::kNone) return fault;
  old = got;
  ++counts.remote_operations;
  return Fault::kNone;
}

Fault Machine::remote_swap(uint64_t host, uint32_t region, uint64_t offset, uint64_t desired, uint64_t& old) noexcept {
  Fault fault = check_remote(remote, offset);
  uint64_t got = 0;
  if (fault == Fault::kNone) fault = remote->swap({host, region, offset}, desired, got);
  if (fault != Fault::kNone) return fault;
  old = got;
  ++counts.remote_operations;
  return Fault::kNone;
}

Fault Machine::remote_gather(uint64_t host, uint32_t region, uint64_t offset, uint64_t length) noexcept {
  if (length > reply.size() - reply_bytes) return Fault::kReplyBounds;
  if (remote == nullptr) return Fault::kRemoteUnavailable;
  const Fault fault = remote->read_bytes({host, region, offset}, reply.subspan(reply_bytes, length));
  if (fault != Fault::kNone) return fault;
  reply_bytes += length;
  counts.bytes_moved += length;
  ++counts.remote_operations;
  return Fault::kNone;
}

bool runs_on_machine(Opcode opcode) noexcept {
  const CostClass cost = info(opcode).cost;
  return cost == CostClass::kBulk || cost == CostClass::kRemote || opcode == Opcode::kEmit ||
         opcode == Opcode::kPlLd8 || opcode == Opcode::kPlen;
}

Fault Machine::execute(const Instruction& i, uint64_t* r) noexcept {
  const uint64_t address = (i.flags != 0 ? 0 : r[i.rs1]) + i.value();
  // clang-format off
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"  // the others are not this function's; see runs_on_machine()
  switch (i.opcode) {
    case Opcode::kPlen: r[i.rd] = payload.size(); return Fault::kNone;
    case Opcode::kPlLd8: return load_payload(address, r[i.rd]);
    case Opcode::kEmit: return emit(r[i.rs1]);
    case Opcode::kGather: return gather(i.region, address, r[i.rs2]);
    case Opcode::kGatherS: return gather_strided(i.region, r[i.rs1], r[i.rs2], r[i.rs3], i.bits());
    case Opcode::kGatherL: return gather_list(i.region, r[i.rs1], r[i.rs2], r[i.rs3], i.bits());
    case Opcode::kScatter: return scatter(i.region, address, r[i.rs2], r[i.rs3]);
    case Opcode::kScatterS: return scatter_strided(i.region, r[i.rs1], r[i.rd], r[i.rs2], r[i.rs3], i.bits());
    case Opcode::kScatterL: return scatter_list(i.region, r[i.rs1], r[i.rd], r[i.rs2], r[i.rs3], i.bits());
    case Opcode::kFill: return fill(i.region, address, r[i.rs2], r[i.rs3]);
    case Opcode::kCopy: return copy(i.region, r[i.rs1], i.source_region(), r[i.rs2], r[i.rs3]);
    case Opcode::kRLd8: return remote_load(r[i.rs2], i.region, address, r[i.rd]);
    case Opcode::kRSt8: return remote_store(r[i.rs2], i.region, address, r[i.rs3]);
    case Opcode::kRCas: return remote_cas(r[i.rs2], i.region, address, r[i.rs3], r[i.rd]);
    case Opcode::kRFaa: return remote_faa(r[i.rs2], i.region, address, r[i.rs3], r[i.rd]);
    case Opcode::kRSwp: return remote_swap(r[i.rs2], i.region, address, r[i.rs3], r[i.rd]);
    case Opcode::kRGather: return remote_gather(r[i.rs2], i.region, address, r[i.rs3]);
    default: return Fault::kIllegalInstruction;  // any other opcode is not runs_on_machine()
  }
#pragma GCC diagnostic pop
  // clang-format on
}

}  // namespace tiara::nic
