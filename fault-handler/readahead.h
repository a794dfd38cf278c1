// Which pages a fetch should bring besides the one that was asked for: streams of faults, found per thread.
//
// A stream is a place where faults come close to each other. Each keeps its last steps; the step that more than
// half of them agree on (majority vote) is its stride, forwards or backwards; a stray fault ends no stream.
// Interleaved streams are told apart by place. A plan fits one request: at most 64 pages from its first.
//
// Stock kernels do not say which pages were used. A plan counts as used when the fault that comes next in its stream is
// the one right behind it, and as wasted when the stream goes elsewhere or is forgotten. Windows grow with the first
// and shrink with the second. A thread whose plans are mostly wasted holds them back, and judges them on by the same
// faults, until they would have been used.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/units.h"

namespace tiara::fault {

// Pages first + i for each bit i, the faulting one among them.
struct FetchPlan {
  PageNumber first;
  uint64_t pages = 1;
};

class Readahead {
 public:
  // The most pages of one plan. A run of 16 costs a fifth of single pages to map; more only delays the first.
  static constexpr uint32_t kMaxWindow = 16;
  // Faults further apart than this belong to different streams; a plan reaches no further either.
  static constexpr int64_t kReach = 63;
  static constexpr uint32_t kStreams = 8;

  FetchPlan plan(PageNumber page) noexcept;

  // What became of earlier plans' extra pages, since the last call.
  struct Verdict {
    uint32_t used = 0;
    uint32_t wasted = 0;
  };
  Verdict take_verdict() noexcept;

 private:
  static constexpr uint32_t kSteps = 8;
  // Steps before the first plan: a single one between random neighbours would pass for a stream.
  static constexpr uint32_t kFewestSteps = 2;
  // A balance of used and wasted pages, in both directions bounded: some 16 whole windows turn the opinion round.
  static constexpr int32_t kMostCredit = 256;

  struct Stream {
    uint64_t last = 0;      // the page of its last fault
    uint64_t next = 0;      // the fault that would show that its last plan was used
    uint32_t window = 0;    // pages of its last plan; 0 = never used
    std::array<int8_t, kSteps> steps{};
    bool is_held_back = false;  // its last plan would have been for more than one page
    uint8_t step_count = 0;
    uint8_t turn = 0;
  };

  Stream* stream_of(uint64_t page) noexcept;
  static void note_step(Stream& stream, int64_t step) noexcept;
  static bool is_continued(const Stream& stream, uint64_t page, int64_t stride) noexcept;
  static int64_t stride_of(const Stream& stream) noexcept;
  void judge(Stream& stream, bool is_used) noexcept;

  std::array<Stream, kStreams> streams_{};
  uint32_t turn_ = 0;
  int32_t credit_ = 0;
  Verdict verdict_;
};

}  // namespace tiara::fault
