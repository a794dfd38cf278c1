#include "runtime/preload/alternate_stack.h"

#include <cerrno>
#include <climits>
#include <cstddef>
#include <pthread.h>
#include <sys/mman.h>

#include "runtime/os/memory.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/real.h"
#include "runtime/preload/signals.h"
#include "runtime/residency/far_memory.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(sigaltstack);

namespace {

// Room for a signal frame with AVX-512 state (about 3 KiB), the whole miss path with the embedded node's engine, and
// a handler of the program that faults in its turn.
constexpr size_t kStackSize = 256 * kKiB;

struct ThreadState {
  std::byte* base = nullptr;  // of the mapping; its first page is the guard page
  int destructor_rounds = 0;
  stack_t programs{nullptr, SS_DISABLE, 0};  // what the program believes to be its alternate stack
};
constinit thread_local ThreadState this_thread{};
constinit pthread_key_t exit_key;
constinit bool has_exit_key = false;

// The program's own destructors may still touch far memory, in any order: step back to the last round.
void thread_exits(void*) noexcept {
  if (++this_thread.destructor_rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(exit_key, &this_thread);
    return;
  }
  forget_pins_of_this_thread();
  stack_t off{nullptr, SS_DISABLE, 0};
  // EPERM: the thread ends in a handler that stands on it (pthread_exit there). Then it stays for ever.
  if (TIARA_REAL(sigaltstack)(&off, nullptr) != 0) return;
  os::raw_munmap(this_thread.base, kStackSize);
  this_thread.base = nullptr;
}

}  // namespace

void prepare_alternate_stacks() noexcept { has_exit_key = pthread_key_create(&exit_key, thread_exits) == 0; }

void enter_thread() noexcept {
  let_reserved_signals_through();
  if (this_thread.base != nullptr || !has_exit_key) return;
  void* base = os::raw_mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1, 0);
  if (base == MAP_FAILED) return;  // the handler then runs on the thread's own stack, which is near as well
  os::raw_mprotect(base, kPageSize, PROT_NONE);
  stack_t ours{static_cast<std::byte*>(base) + kPageSize, 0, kStackSize - kPageSize};
  stack_t before{};
  if (TIARA_REAL(sigaltstack)(&ours, &before) != 0) {  // EPERM: running on an alternate stack of the program's
    os::raw_munmap(base, kStackSize);
    return;
  }
  this_thread.programs = before;
  this_thread.base = static_cast<std::byte*>(base);
  pthread_setspecific(exit_key, &this_thread);
}

bool is_in_alternate_stack(uintptr_t address) noexcept {
  return this_thread.base != nullptr && address - reinterpret_cast<uintptr_t>(this_thread.base) < kStackSize;
}

bool is_on_alternate_stack() noexcept {
  return is_in_alternate_stack(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
}

int change_programs_stack(const stack_t* stack, stack_t* old, StackUse use) noexcept {
  if (this_thread.base == nullptr) {
    stack_t kernels{};
    stack_t wanted{};
    if (stack != nullptr) wanted = *stack;
    const int result = TIARA_REAL(sigaltstack)(stack != nullptr ? &wanted : nullptr, &kernels);
    if (result == 0 && old != nullptr) *old = kernels;
    return result;
  }
  stack_t reported = this_thread.programs;
  if (use == StackUse::kInUse && reported.ss_flags != SS_DISABLE) reported.ss_flags = SS_ONSTACK;
  if (stack != nullptr) {
    const stack_t wanted = *stack;
    if ((wanted.ss_flags & ~(SS_DISABLE | SS_ONSTACK | static_cast<int>(1U << 31))) != 0) {  // 1<<31: SS_AUTODISARM
      errno = EINVAL;
      return -1;
    }
    if (use == StackUse::kInUse) {
      errno = EPERM;
      return -1;
    }
    if ((wanted.ss_flags & SS_DISABLE) == 0 && wanted.ss_size < static_cast<size_t>(MINSIGSTKSZ)) {
      errno = ENOMEM;
      return -1;
    }
    this_thread.programs = (wanted.ss_flags & SS_DISABLE) != 0 ? stack_t{nullptr, SS_DISABLE, 0} : wanted;
    this_thread.programs.ss_flags &= ~SS_ONSTACK;
  }
  if (old != nullptr) *old = reported;
  return 0;
}

}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int sigaltstack(const stack_t* __restrict stack, stack_t* __restrict old) {
  return change_programs_stack(stack, old, is_on_alternate_stack() ? StackUse::kInUse : StackUse::kFree);
}
