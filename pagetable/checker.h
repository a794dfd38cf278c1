// The pool checker: walks every frame's owner and says what is wrong.
//
// A pool is sound when every frame that was ever handed out is exactly one of: the node's own, on
// the free list, a table or a page of live address spaces, or dead and waiting to be reaped; when as
// many entries name it as its references say, all of them marked if they are several; and when the
// counters say so too. The pool must be quiescent (no operator running): the checker reads it
// without synchronisation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tiara::pagetable {

enum class DefectKind : uint8_t {
  kBadHeader,      // magic, frame count, or never_used make no sense: nothing else was looked at
  kBadDescriptor,  // levels or max_pages of a live space outside their limits: its tree was not
                   // walked
  kOutOfRange,     // an entry, or a free-list link, points outside the frames that were handed out
  kDoubleMapped,   // a frame that nobody shared is reached twice through tables
  kFreeAndMapped,  // a frame is on the free list and in a table
  kFreeListCycle,  // the free list comes back to a frame
  kOrphan,  // reachable memory that no operator can reach: a tree under a dead descriptor, or an
            // entry for page numbers at or above the space's max_pages
  kLeak,             // handed out, not free, in no table
  kReservedFlags,    // flag bits of an entry that have no meaning are not zero
  kWrongReferences,  // FrameReferences::extra
  kUnmarkedShare,    // a frame has other owners, and one of the entries that name it is not marked
  kWrongPageCount,   // SpaceDescriptor::pages
  kWrongTableCount,  // SpaceDescriptor::tables
  kWrongInUse,       // AllocHeader::in_use
};

const char* to_string(DefectKind kind) noexcept;

inline constexpr uint32_t kNoSpace = UINT32_MAX;

struct Defect {
  DefectKind kind;
  uint32_t space = kNoSpace;  // index of the address space; kNoSpace when it is the pool's own
  uint64_t page = 0;          // first page number below the entry at fault, where there is one
  uint64_t frame = 0;         // the frame at fault, where there is one
  uint64_t expected = 0;      // what the walk counted, for the kWrong kinds
  uint64_t actual = 0;        // what the pool says
};

// One line in words a person can act on.
std::string describe(const Defect& defect);

struct CheckReport {
  // At most kMaxListedDefects of them; `defect_count` is exact.
  std::vector<Defect> defects;
  uint64_t defect_count = 0;
  uint64_t live_spaces = 0;
  uint64_t pages = 0;   // of all live spaces; a shared one counts for each
  uint64_t tables = 0;  // likewise
  uint64_t dead_frames = 0;  // on the list of dead frames, without what is below them
  uint64_t free_frames = 0;  // on the free list
  uint64_t never_used = 0;   // frames that were never handed out

  bool is_sound() const { return defect_count == 0; }
};

// A broken pool can have a defect per frame; the first few hundred say what happened.
inline constexpr size_t kMaxListedDefects = 256;

// `pool` is the whole pool from its first frame, 8-byte aligned. Reads nothing outside it, whatever
// it holds.
CheckReport check_pool(std::span<const std::byte> pool);

}  // namespace tiara::pagetable
