// What lies where in a memory node's pool. Operators, the node itself, the one-sided baseline and the checker all
// read this layout, so it is fixed in bytes: little-endian, every word 8 bytes and naturally aligned.
//
// The pool is one contiguous array of 4 KiB frames; frame f starts at pool offset f << 12. Its first frames are the
// node's own, so that frame 0 never holds a page and 0 can mean "absent" in every table:
//
//   frame 0                            PoolHeader, then AllocHeader (one cache line each)
//   frames 1 .. kDescriptorFrames      SpaceDescriptor[kMaxSpaces]
//   frames kFirstDataFrame ..          tables and pages
//   behind the last frame              FrameReferences[frame_count]
//
// Region slots of the page-table operators (nic/node binds them by name): `pool` is all frames, `space` is the 64
// bytes of the invocation's SpaceDescriptor, `alloc` is the 64 bytes of the AllocHeader, `refs` are the
// FrameReferences.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/units.h"

namespace tiara::nic::pool {

// --- frames ---

inline constexpr uint64_t kPoolMagic = 0x32304c4f4f504954;  // "TIPOOL02": bumped with every change of layout
inline constexpr uint32_t kMaxSpaces = 4096;                // 256 KiB of descriptors, a thousand clients several times
inline constexpr uint64_t kDescriptorBytes = 64;            // one cache line: a walk reads root and depth in one miss
inline constexpr uint64_t kDescriptorFrames = kMaxSpaces * kDescriptorBytes / kPageSize;
inline constexpr uint64_t kFirstDataFrame = 1 + kDescriptorFrames;
inline constexpr uint64_t kMaxFrames = uint64_t{1} << 32;   // a frame number shares the free list's head with its tag

// At pool offset 0. Written once, before the node serves anybody.
struct PoolHeader {
  uint64_t magic;        // kPoolMagic
  uint64_t frame_count;  // of the whole pool, the node's own frames included
  uint64_t levels;       // depth of new address spaces' tables
  uint64_t reserved[5];
};

// At pool offset kAllocOffset: free frames are those on the recycled list and those never handed out.
//
// Taking a frame: pop `head` (frame 0: the list is empty); else fetch-and-add 1 to `never_used`, and the old value
// is the frame unless it is frame_count or more, which means that the pool is full (the word may run past the end:
// 64 bits do not wrap). A frame that was never used reads as zeros; a recycled one holds old bytes.
// Giving back: store the old head's frame number in the frame's first 8 bytes, then compare-and-swap the head.
// Both compare-and-swaps advance the tag, so a head that was popped and pushed in between does not match (ABA).
struct AllocHeader {
  uint64_t head;         // tag << 32 | frame number
  uint64_t never_used;   // the lowest frame that was never handed out
  uint64_t frame_count;  // as in PoolHeader; here because operators see it through `alloc`
  uint64_t in_use;       // frames handed out and not given back: one fetch-and-add per invocation that changes it
  uint64_t dead;         // frames whose last reference is gone, as a list like `head`'s; they are still in use
  uint64_t reserved[3];  // zero
};

inline constexpr uint64_t kAllocOffset = 64;
inline constexpr uint32_t kHeadTagShift = 32;
inline constexpr uint64_t kHeadFrameMask = (uint64_t{1} << kHeadTagShift) - 1;

// --- address spaces ---

// The root of one address space's page table. Operators change root, pages, tables and generation with atomics; the
// rest is the node's. A root of 0 is an empty table.
struct SpaceDescriptor {
  uint64_t root;        // the entry of the top table, as entries stand in tables
  uint64_t levels;      // 1 to kMaxLevels
  uint64_t max_pages;   // page numbers are below this; at most max_pages_for(levels)
  uint64_t pages;       // leaf entries that are present, shared ones included
  uint64_t tables;      // tables that the space reaches, shared ones and the root included
  uint64_t state;       // SpaceState
  uint64_t generation;  // 0: never part of a clone. Odd while a call copies a shared table, advanced when it is done
  uint64_t self;        // this descriptor's pool offset: `root` is an entry that operators reach through `pool`
};

enum class SpaceState : uint64_t {
  kFree = 0,
  kLive = 1,
  // Of pools that processes share after a fork (nic/node/pool_family.h):
  kHandedOver = 2,  // cloned for a child that has not taken it over yet
  kLost = 3,        // its process ended; one of the others is taking its pages back
};

constexpr uint64_t descriptor_offset(uint32_t space_index) {
  return kPageSize + uint64_t{space_index} * kDescriptorBytes;
}

// --- tables ---

// A table is one frame of 512 entries, 9 bits of the page number a level, the highest bits first. Every entry, of
// descriptors, inner tables and leaves alike, is frame << 12 | flags, 0 when absent: with the flags masked it is the
// pool offset of the next table or of the page.
//
// kCopyOnWrite in an entry: the table or page below it is, or was, shared with another address space, and so is
// everything below that, marked or not. A shared table is never changed again: a writer copies it and publishes the
// copy. A shared page is copied while others refer to it (FrameReferences), and is the last one's to change. The other
// flags are zero.
inline constexpr uint64_t kCopyOnWrite = 1;
inline constexpr uint32_t kBitsPerLevel = 9;
inline constexpr uint32_t kEntriesPerTable = 1u << kBitsPerLevel;
inline constexpr uint32_t kMaxLevels = 5;
inline constexpr uint32_t kDefaultLevels = 4;
inline constexpr uint64_t kEntryFlagsMask = kPageSize - 1;
inline constexpr uint64_t kEntryFrameBits = 32;  // bits 12 to 43; the bits above are zero

constexpr uint64_t entry_of(uint64_t frame) { return frame << kPageShift; }
constexpr uint64_t frame_of(uint64_t entry) { return entry >> kPageShift; }
constexpr uint64_t max_pages_for(uint32_t levels) { return uint64_t{1} << (kBitsPerLevel * levels); }
// Which entry of a table at `level` (1 is the leaf table) a page number selects.
constexpr uint32_t entry_index(uint64_t page, uint32_t level) {
  return static_cast<uint32_t>(page >> (kBitsPerLevel * (level - 1))) & (kEntriesPerTable - 1);
}

// --- sharing ---

// One for each frame. `extra`: entries that name the frame, less one; 0 for frames that are free or dead. A frame that
// was never shared has zeros here, so that this array takes memory only where sharing was.
//
// Giving up an entry: with `extra` at 0 the frame has no owner any more; else compare-and-swap `extra` to one less.
// What has no owner goes to AllocHeader::dead, its entries still in place, and the node takes it apart (Pool::reap).
struct FrameReferences {
  uint64_t extra;
  uint64_t link;  // on the list of dead frames: level << kDeadLevelShift | next frame; level 0 is a page
};
inline constexpr uint32_t kDeadLevelShift = 32;

constexpr uint64_t references_offset(uint64_t frame_count) { return frame_count << kPageShift; }
// Of the pool with its references.
constexpr uint64_t pool_bytes_for(uint64_t frame_count) {
  return references_offset(frame_count) + frame_count * sizeof(FrameReferences);
}

// --- why an operator gives up: the code of FAIL, shared by everything that works on a pool ---

enum class FailReason : uint16_t {
  kNoMemory = 1,   // no frame is left; what was stored before is stored
  kContended = 2,  // a compare-and-swap lost more often than its bound: try again
  kPageRange = 3,  // a page number at or above the space's max_pages
  kCorrupt = 4,    // an entry points where no table or page can be
  kPayloadSize = 5, // the payload is not one page for each page number
};

static_assert(sizeof(PoolHeader) == kAllocOffset && sizeof(AllocHeader) == 64);
static_assert(kAllocOffset + sizeof(AllocHeader) <= kPageSize);
static_assert(sizeof(SpaceDescriptor) == kDescriptorBytes);
static_assert(sizeof(FrameReferences) == 16 && kMaxFrames == uint64_t{1} << kDeadLevelShift);
static_assert(kMaxSpaces * kDescriptorBytes % kPageSize == 0);
static_assert(kEntriesPerTable * sizeof(uint64_t) == kPageSize);
static_assert(kMaxFrames == kHeadFrameMask + 1 && kMaxFrames == uint64_t{1} << kEntryFrameBits);

}  // namespace tiara::nic::pool
