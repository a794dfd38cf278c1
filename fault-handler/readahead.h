// Which pages a fetch should bring besides the one that was asked for: sequential streams, found per thread.
#pragma once

#include <array>
#include <cstdint>

#include "runtime/base/units.h"

namespace tiara::fault {

// Detects up to four interleaved forward streams. Plain data, so that it can live in initial-exec thread storage.
class Readahead {
 public:
  // The most pages of one plan. A run of 16 costs a fifth of single pages to map; more only delays the first.
  static constexpr uint32_t kMaxWindow = 16;

  // How many pages from `page` onwards to fetch: 1, doubled with each fault that continues a stream.
  uint32_t plan(PageNumber page) noexcept {
    for (Stream& stream : streams_) {
      if (stream.next != page.value || stream.window == 0) continue;
      stream.window = stream.window * 2 < kMaxWindow ? stream.window * 2 : kMaxWindow;
      stream.next = page.value + stream.window;
      return stream.window;
    }
    Stream& oldest = streams_[turn_++ % streams_.size()];
    oldest = {page.value + 1, 1};
    return 1;
  }

 private:
  struct Stream {
    uint64_t next = 0;    // the page whose fault would continue this stream
    uint32_t window = 0;  // pages of the last plan; 0 = never used
  };
  std::array<Stream, 4> streams_{};
  uint32_t turn_ = 0;
};

}  // namespace tiara::fault
