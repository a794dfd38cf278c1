// A thread of ours: named, joined by its owner, deaf to the program's signals.
#pragma once

#include <functional>
#include <pthread.h>
#include <utility>

#include "runtime/base/error.h"

namespace tiara::os {

class Thread {
 public:
  // Runs `body` with every signal blocked that can be (pthread_sigmask: the ones libc needs for setuid stay open).
  // `name` is at most 15 bytes.
  static Result<Thread> start(const char* name, std::function<void()> body);

  Thread() = default;
  Thread(Thread&& other) noexcept : handle_(other.handle_), is_running_(std::exchange(other.is_running_, false)) {}
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { join(); }

  // Waits for the body to return; whoever owns the thread has told it to. Idempotent.
  void join() noexcept;

 private:
  pthread_t handle_{};
  bool is_running_ = false;
};

}  // namespace tiara::os
