// Starting programs: the kernel reads paths, arguments and environment, in posix_spawn and vfork children with every
// signal blocked. Far strings are copied to near memory first: there may be thousands, and pins are few.
#include <alloca.h>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/placement/heap.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/process.h"
#include "runtime/preload/real.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(execve);
TIARA_DEFINE_REAL(execvpe);
TIARA_DEFINE_REAL(execveat);
TIARA_DEFINE_REAL(fexecve);
TIARA_DEFINE_REAL(posix_spawn);
TIARA_DEFINE_REAL(posix_spawnp);
TIARA_DEFINE_REAL(system);
TIARA_DEFINE_REAL(popen);

namespace {

// A near version of an argument or environment list. Copies live in one near block, which is given back unless the
// process is replaced by another program first.
class NearList {
 public:
  explicit NearList(char* const* list) noexcept : list_(const_cast<char**>(list)) {
    if (list == nullptr || !raises_signals()) return;
    size_t count = 0, bytes = 0;
    bool is_any_far = may_raise_signal(list);
    for (; list[count] != nullptr; ++count) {
      if (!may_raise_signal(list[count])) continue;
      is_any_far = true;
      bytes += strlen(list[count]) + 1;
    }
    if (is_any_far) copy(list, count, bytes);
  }
  ~NearList() { placement::heap::release(block_); }
  NearList(const NearList&) = delete;
  NearList& operator=(const NearList&) = delete;

  char* const* get() const noexcept { return list_; }

 private:
  void copy(char* const* list, size_t count, size_t bytes) noexcept {
    const size_t vector = (count + 1) * sizeof(char*);
    block_ = placement::heap::allocate_near(vector + bytes);
    if (block_ == nullptr) return;  // the kernel says EFAULT, if a page is away
    list_ = static_cast<char**>(block_);
    char* text = static_cast<char*>(block_) + vector;
    for (size_t i = 0; i < count; ++i) {
      list_[i] = list[i];
      if (!may_raise_signal(list[i])) continue;
      const size_t length = strlen(list[i]) + 1;
      list_[i] = static_cast<char*>(memcpy(text, list[i], length));
      text += length;
    }
    list_[count] = nullptr;
  }
  char** list_;
  void* block_ = nullptr;
};

// A reader of the statistics sees that this process went on as another program.
class Replaced {
 public:
  Replaced() noexcept { set(stats::ProcessState::kExeced); }
  ~Replaced() { set(stats::ProcessState::kRunning); }  // only when exec failed

 private:
  static void set(stats::ProcessState state) noexcept {
    // Not in a vfork child, which shares our memory but not our fate.
    stats::ProcessStats* slot = process_stats();
    if (slot == nullptr || slot->pid.load(std::memory_order_relaxed) != getpid()) return;
    slot->state.store(static_cast<uint32_t>(state), std::memory_order_release);
  }
};

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int execve(const char* path, char* const* arguments, char* const* environment) noexcept {
  const NearList near_arguments(arguments);
  const NearList near_environment(environment);
  const Replaced replaced;
  SpawnGuards guards;
  guards.string(path);
  return TIARA_REAL(execve)(path, near_arguments.get(), near_environment.get());
}

TIARA_INTERPOSE int execv(const char* path, char* const* arguments) noexcept {
  return execve(path, arguments, environ);
}

TIARA_INTERPOSE int execvpe(const char* file, char* const* arguments, char* const* environment) noexcept {
  const NearList near_arguments(arguments);
  const NearList near_environment(environment);
  const Replaced replaced;
  SpawnGuards guards;
  guards.string(file);
  return TIARA_REAL(execvpe)(file, near_arguments.get(), near_environment.get());
}

TIARA_INTERPOSE int execvp(const char* file, char* const* arguments) noexcept {
  return execvpe(file, arguments, environ);
}

TIARA_INTERPOSE int fexecve(int fd, char* const* arguments, char* const* environment) noexcept {
  const NearList near_arguments(arguments);
  const NearList near_environment(environment);
  const Replaced replaced;
  return TIARA_REAL(fexecve)(fd, near_arguments.get(), near_environment.get());
}

TIARA_INTERPOSE int execveat(int fd, const char* path, char* const* arguments, char* const* environment,
                             int flags) noexcept {
  const NearList near_arguments(arguments);
  const NearList near_environment(environment);
  const Replaced replaced;
  SpawnGuards guards;
  guards.string(path);
  return TIARA_REAL(execveat)(fd, path, near_arguments.get(), near_environment.get(), flags);
}

// The list forms: arguments end with a null pointer, after which execle has the environment.
#define COLLECT(last)                                                                  \
  va_list list;                                                                        \
  va_start(list, last);                                                                \
  size_t count = 1;                                                                    \
  while (va_arg(list, char*) != nullptr) ++count;                                      \
  va_end(list);                                                                        \
  auto** arguments = static_cast<char**>(alloca((count + 1) * sizeof(char*)));         \
  va_start(list, last);                                                                \
  arguments[0] = const_cast<char*>(last);                                              \
  for (size_t i = 1; i <= count; ++i) arguments[i] = va_arg(list, char*)

TIARA_INTERPOSE int execl(const char* path, const char* first, ...) noexcept {
  COLLECT(first);
  va_end(list);
  return execve(path, arguments, environ);
}

TIARA_INTERPOSE int execlp(const char* file, const char* first, ...) noexcept {
  COLLECT(first);
  va_end(list);
  return execvpe(file, arguments, environ);
}

TIARA_INTERPOSE int execle(const char* path, const char* first, ...) noexcept {
  COLLECT(first);
  char* const* environment = va_arg(list, char* const*);
  va_end(list);
  return execve(path, arguments, environment);
}

TIARA_INTERPOSE int posix_spawn(pid_t* __restrict pid, const char* __restrict path,
                                const posix_spawn_file_actions_t* __restrict actions,
                                const posix_spawnattr_t* __restrict attributes, char* const* __restrict arguments,
                                char* const* __restrict environment) {
  const NearList near_arguments(arguments);
  const NearList near_environment(environment);
  SpawnGuards guards;
  guards.string(path);
  guards.object(actions);
  guards.object(attributes);
  return TIARA_REAL(posix_spawn)(pid, path, actions, attributes, near_arguments.get(), near_environment.get());
}

TIARA_INTERPOSE int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                                 const posix_spawnattr_t* attributes, char* const* arguments,
                                 char* const* environment) {
  const NearList near_arguments(arguments);
  const NearList near_environment(environment);
  SpawnGuards guards;
  guards.string(file);
  guards.object(actions);
  guards.object(attributes);
  return TIARA_REAL(posix_spawnp)(pid, file, actions, attributes, near_arguments.get(), near_environment.get());
}

namespace {

// system and popen hand libc's `environ` to the child.
class NearEnvironment {
 public:
  NearEnvironment() noexcept : near_(environ), before_(environ) { environ = const_cast<char**>(near_.get()); }
  ~NearEnvironment() {
    if (environ == const_cast<char**>(near_.get())) environ = before_;
  }

 private:
  NearList near_;
  char** before_;
};

}  // namespace

TIARA_INTERPOSE int system(const char* command) {
  SpawnGuards guards;
  guards.string(command);
  if (!raises_signals()) return TIARA_REAL(system)(command);
  const NearEnvironment environment;
  return TIARA_REAL(system)(command);
}

TIARA_INTERPOSE FILE* popen(const char* command, const char* mode) {
  SpawnGuards guards;
  guards.string(command);
  if (!raises_signals()) return TIARA_REAL(popen)(command, mode);
  const NearEnvironment environment;
  return TIARA_REAL(popen)(command, mode);
}
