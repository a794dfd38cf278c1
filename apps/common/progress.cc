#include "apps/common/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace tiara::apps {

Progress::Progress() : is_terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::begin(std::string phase) {
  phase_ = std::move(phase);
  if (is_terminal_) {
    update(0);
  } else {
    fmt::print(stderr, "{}\n", phase_);
  }
}

void Progress::update(double share) {
  if (!is_terminal_) return;
  constexpr size_t kWidth = 30;
  const auto filled = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * kWidth);
  fmt::print(stderr, "\r\033[K[{}{}] {:3.0f} %  {}", std::string(filled, '#'),
             std::string(kWidth - filled, '.'), 100 * share, phase_);
  std::fflush(stderr);
  is_shown_ = true;
}

void Progress::clear() {
  if (is_shown_) fmt::print(stderr, "\r\033[K");
  is_shown_ = false;
}

}  // namespace tiara::apps
