#include "fault-handler/stop.h"

#include <cstring>

#include "runtime/base/check.h"
#include "runtime/base/exit_status.h"

namespace tiara::fault {
namespace {

// Text of bounded length on the stack: nothing may be allocated any more.
class Text {
 public:
  Text& operator<<(const char* text) noexcept {
    while (*text != 0 && length_ + 1 < sizeof buffer_) buffer_[length_++] = *text++;
    buffer_[length_] = 0;
    return *this;
  }
  Text& operator<<(uint64_t number) noexcept {
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    return *this << (digits + at);
  }
  const char* c_str() const noexcept { return buffer_; }

 private:
  char buffer_[240] = {};
  size_t length_ = 0;
};

}  // namespace

void stop_process(stats::ProcessStats& stats, int exit_status, const char* what, const char* cure) noexcept {
  Text line;
  line << what << "; " << cure;
  // Only the first of several dying threads writes; a torn line in the statistics would help nobody.
  uint32_t state = stats.state.load(std::memory_order_relaxed);
  const auto fatal_state = static_cast<uint32_t>(stats::ProcessState::kFatal);
  if (state != fatal_state && stats.state.compare_exchange_strong(state, fatal_state)) {
    const size_t length = std::min(strlen(line.c_str()), sizeof stats.fatal - 1);
    memcpy(stats.fatal, line.c_str(), length);
    stats.fatal[length] = 0;
  }
  fatal(exit_status, what, cure);
}

void stop_for_store(stats::ProcessStats& stats, pagetable::StoreStatus status, const char* deed,
                    PageNumber page) noexcept {
  Text what;
  switch (status) {
    case pagetable::StoreStatus::kOk:
    case pagetable::StoreStatus::kNodeLost: break;
    case pagetable::StoreStatus::kContended:
      what << "memory node " << stats.node << " stayed contended until --node-timeout, " << deed << " page "
           << page.value;
      stop_process(stats, kExitUnavailable, what.c_str(),
                   "give the node more CPUs or fewer programs, and run the program again");
    case pagetable::StoreStatus::kNodeFull:
      what << "memory node " << stats.node << " has no frame left, " << deed << " page " << page.value;
      stop_process(stats, kExitNodeFull, what.c_str(),
                   "give it more memory (--memory of tiara node, --pool of tiara run) and run the program again");
    case pagetable::StoreStatus::kCorrupt:
      what << "memory node " << stats.node << " gave an impossible answer, " << deed << " page " << page.value;
      stop_process(stats, kExitOsError, what.c_str(),
                   "run the same version of tiara on both sides, then restart the node and the program");
  }
  what << "memory node " << stats.node << " lost while " << deed << " page " << page.value;
  stop_process(stats, kExitUnavailable, what.c_str(), "restart the node and the program (pages on it are gone)");
}

void stop_for_content(stats::ProcessStats& stats, PageNumber page) noexcept {
  Text what;
  what << "page " << page.value << " from memory node " << stats.node << " is not what was stored there";
  stop_process(stats, kExitOsError, what.c_str(),
               "check the memory of that machine, then restart the node and the program");
}

void stop_for_kernel(stats::ProcessStats& stats, const char* deed, const char* answer, PageNumber page) noexcept {
  Text what;
  what << "the kernel answered " << answer << " while " << deed << " page " << page.value;
  stop_process(stats, kExitOsError, what.c_str(),
               "give the machine or the memory cgroup more room, or lower --local");
}

}  // namespace tiara::fault
