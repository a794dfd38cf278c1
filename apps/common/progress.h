// Progress on standard error: a bar on a terminal, one plain line per phase elsewhere.
#pragma once

#include <cstddef>
#include <string>

namespace tiara::apps {

class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  // A new phase; `share` of it is done.
  void begin(std::string phase);
  void update(double share);
  // Takes the bar away, so that other lines can be printed.
  void clear();

 private:
  bool is_terminal_;
  bool is_shown_ = false;
  std::string phase_;
};

}  // namespace tiara::apps
