#include "fault-handler/readahead.h"

#include <algorithm>
#include <cstdlib>

namespace tiara::fault {

// The stream that expects the page; else the nearest one within reach.
Readahead::Stream* Readahead::stream_of(uint64_t page) noexcept {
  const auto distance_to = [page](uint64_t other) { return page > other ? page - other : other - page; };
  Stream* nearest = nullptr;
  uint64_t least = kReach + 1;
  for (Stream& stream : streams_) {
    if (stream.window == 0) continue;
    if (stream.next == page) return &stream;
    const uint64_t distance = std::min(distance_to(stream.last), distance_to(stream.next));
    if (distance < least) {
      nearest = &stream;
      least = distance;
    }
  }
  return nearest;
}

// Right behind the last plan, or a little further, where pages were here already.
bool Readahead::is_continued(const Stream& stream, uint64_t page, int64_t stride) noexcept {
  if (stream.next == page) return true;
  if (stride == 0) return false;
  const auto past = static_cast<int64_t>(page - stream.next);
  return past % stride == 0 && past / stride > 0 && past / stride <= static_cast<int64_t>(stream.window);
}

void Readahead::note_step(Stream& stream, int64_t step) noexcept {
  stream.steps[stream.turn] = static_cast<int8_t>(step);
  stream.turn = static_cast<uint8_t>((stream.turn + 1) % kSteps);
  stream.step_count = static_cast<uint8_t>(std::min<uint32_t>(stream.step_count + 1u, kSteps));
}

// The step that more than half agree on (Boyer and Moore's vote, then counted); 0 when there is none.
int64_t Readahead::stride_of(const Stream& stream) noexcept {
  // To the next page is what most programs do: one step of it counts.
  if (stream.step_count < kFewestSteps) return stream.step_count == 1 && stream.steps[0] == 1 ? 1 : 0;
  int64_t candidate = 0;
  uint32_t lead = 0;
  for (uint32_t i = 0; i < stream.step_count; ++i) {
    if (lead == 0) candidate = stream.steps[i];
    if (stream.steps[i] == candidate) ++lead;
    else --lead;
  }
  const auto votes = std::count(stream.steps.begin(), stream.steps.begin() + stream.step_count, candidate);
  return static_cast<uint32_t>(votes) * 2 > stream.step_count ? candidate : 0;
}

void Readahead::judge(Stream& stream, bool is_used) noexcept {
  if (stream.window <= 1 && !stream.is_held_back) return;
  uint32_t extra = 1;  // the page that a plan would have brought, had it not been held back
  if (!stream.is_held_back) {
    extra = stream.window - 1;
    (is_used ? verdict_.used : verdict_.wasted) += extra;
  }
  // A wasted page costs about what a spared fault gains: the fetch, and the eviction of a page that was wanted.
  credit_ = std::clamp<int32_t>(credit_ + (is_used ? 1 : -1) * static_cast<int32_t>(extra), -kMostCredit, kMostCredit);
}

FetchPlan Readahead::plan(PageNumber page) noexcept {
  Stream* stream = stream_of(page.value);
  if (stream == nullptr) {
    stream = &streams_[turn_++ % kStreams];
    judge(*stream, false);
    *stream = Stream{};
    stream->last = page.value;
    stream->next = page.value + 1;  // forwards is the first guess: a step of it counts at once
    stream->window = 1;
    return {page, 1};
  }
  const int64_t stride_before = stride_of(*stream);
  const bool is_expected = is_continued(*stream, page.value, stride_before);
  judge(*stream, is_expected);
  // Pages of a plan are no faults: what the program did goes on from its last page.
  const auto step = static_cast<int64_t>(page.value - stream->last);
  if (is_expected && stride_before != 0) note_step(*stream, stride_before);
  else if (step != 0 && std::abs(step) <= kReach) note_step(*stream, step);
  const int64_t stride = stride_of(*stream);
  stream->last = page.value;
  uint32_t window = 1;
  if (stride != 0) {
    window = is_expected ? std::max(stream->window, 1u) * 2 : std::max(stream->window / 2, 2u);
    const auto in_reach = static_cast<uint32_t>(kReach / std::abs(stride)) + 1;
    window = std::min({window, kMaxWindow, in_reach});
  }
  stream->is_held_back = window > 1 && credit_ <= -kMostCredit / 2;
  if (stream->is_held_back) window = 1;
  stream->window = window;
  const int64_t ahead = stride == 0 ? 1 : stride * static_cast<int64_t>(window);
  stream->next = static_cast<uint64_t>(static_cast<int64_t>(page.value) + ahead);
  if (window == 1) return {page, 1};
  FetchPlan plan{page, 0};
  if (stride < 0) {  // never below page 0
    const auto fit = static_cast<uint32_t>(page.value / static_cast<uint64_t>(-stride)) + 1;
    window = std::min(window, fit);
    plan.first = PageNumber{page.value - static_cast<uint64_t>(-stride) * (window - 1)};
  }
  for (uint32_t i = 0; i < window; ++i) plan.pages |= uint64_t{1} << (static_cast<uint64_t>(std::abs(stride)) * i);
  return plan;
}

Readahead::Verdict Readahead::take_verdict() noexcept {
  const Verdict verdict = verdict_;
  verdict_ = {};
  return verdict;
}

}  // namespace tiara::fault
