// Child processes that cannot get lost: they die with us, are killed when their owner goes out of
// scope, and are waited for with a bound.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps {

struct ChildOptions {
  std::string path;                                                // as execve(2) wants it
  std::vector<std::string> arguments;                              // arguments[0] included
  std::vector<std::pair<std::string, std::string>> environment{};  // set on top of ours
  int standard_output = -1;                                        // -1: ours
  int standard_error = -1;
  int death_signal = 0;        // sent to the child when we die; SIGKILL for servers we start
  std::vector<int> cpus{};     // where it may run; empty: anywhere
  std::string cgroup_procs{};  // the child writes itself in here before it execs; empty: nowhere
};

// How a child ended, as a shell would say it: its status, or 128 + the signal's number.
struct ChildExit {
  int wait_status = 0;
  int shell_status() const;
  bool was_signalled() const;
  std::string describe() const;  // "exited with status 1", "was killed by SIGKILL"
};

class Child {
 public:
  Child() = default;
  // Returns when the child has exec'ed; an exec that failed is our error. Signal mask and
  // dispositions are reset.
  static Result<Child> spawn(const ChildOptions& options);
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&& other) noexcept;
  ~Child() { kill_and_reap(); }

  pid_t pid() const { return pid_; }
  bool is_running() const { return pid_ > 0; }  // started and not yet reaped
  // nullopt: still running after `timeout`.
  std::optional<ChildExit> wait_for(std::chrono::milliseconds timeout);
  void send(int signal) const;
  // SIGTERM, then SIGKILL after `grace`; reaps.
  ChildExit stop(std::chrono::milliseconds grace);

 private:
  void kill_and_reap() noexcept;
  pid_t pid_ = -1;
  UniqueFd pidfd_;  // poll(2) with a bound instead of a racy signal
};

}  // namespace tiara::apps
