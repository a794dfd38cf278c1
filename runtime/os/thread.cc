#include "runtime/os/thread.h"

#include <csignal>
#include <dlfcn.h>
#include <memory>

namespace tiara::os {

Result<Thread> Thread::start(const char* name, std::function<void()> body) {
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  // Blocked before the start, so that there is no moment at which the new thread takes a signal.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Thread thread;
  const auto entry = [](void* argument) -> void* {
    const std::unique_ptr<std::function<void()>> run(static_cast<std::function<void()>*>(argument));
    (*run)();
    return nullptr;
  };
  // libc's own, past any interposer: in a program with far memory this is not one of the program's threads.
  void* const next = dlsym(RTLD_NEXT, "pthread_create");
  const auto create = next != nullptr ? reinterpret_cast<decltype(&pthread_create)>(next) : &pthread_create;
  const int error = create(&thread.handle_, nullptr, entry, owned.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return std::unexpected(system_error("pthread_create", name, error));
  (void)owned.release();  // the thread's now
  thread.is_running_ = true;
  pthread_setname_np(thread.handle_, name);
  return thread;
}

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this != &other) {
    join();
    handle_ = other.handle_;
    is_running_ = std::exchange(other.is_running_, false);
  }
  return *this;
}

void Thread::join() noexcept {
  if (std::exchange(is_running_, false)) pthread_join(handle_, nullptr);
}

}  // namespace tiara::os
