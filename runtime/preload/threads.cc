// Threads of the program: each gets the stack that faults are resolved on before its own code runs.
#include <new>
#include <pthread.h>
#include <sched.h>
#include <threads.h>

#include "runtime/placement/heap.h"
#include "runtime/preload/alternate_stack.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/process.h"
#include "runtime/preload/raw_calls.h"
#include "runtime/preload/real.h"
#include "runtime/residency/far_memory.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(pthread_create);
TIARA_DEFINE_REAL(thrd_create);

namespace {

template <typename Routine>
struct Start {
  Routine routine;
  void* argument;
};

template <typename Routine>
Start<Routine> take(void* start) noexcept {
  const Start<Routine> taken = *static_cast<Start<Routine>*>(start);
  placement::heap::release(start);
  return taken;
}

void* run_posix(void* start) {
  const auto taken = take<void* (*)(void*)>(start);
  enter_thread();
  catch_raw_calls();
  return taken.routine(taken.argument);
}

int run_c11(void* start) {
  const auto taken = take<thrd_start_t>(start);
  enter_thread();
  catch_raw_calls();
  return taken.routine(taken.argument);
}

template <typename Routine>
Start<Routine>* make_start(Routine routine, void* argument) noexcept {
  void* room = placement::heap::allocate_near(sizeof(Start<Routine>));
  return room == nullptr ? nullptr : new (room) Start<Routine>{routine, argument};
}

// The kernel writes to a thread's stack behind our back (thread id, robust list, restartable sequences): a stack
// that the program made of far memory stays here.
void keep_stack_near(const pthread_attr_t& attributes) noexcept {
  FarMemory* far = FarMemory::instance();
  void* stack = nullptr;
  size_t size = 0;
  if (far == nullptr || pthread_attr_getstack(&attributes, &stack, &size) != 0 || !far->contains(stack)) return;
  far->make_near({static_cast<std::byte*>(stack), size});
}

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int pthread_create(pthread_t* __restrict thread, const pthread_attr_t* __restrict attributes,
                                   void* (*routine)(void*), void* __restrict argument) {
  if (active_config() == nullptr) return TIARA_REAL(pthread_create)(thread, attributes, routine, argument);
  catch_raw_calls();  // in a thread that was alone so far: far memory may start in the new one
  auto* start = make_start(routine, argument);
  if (start == nullptr) return EAGAIN;
  if (attributes != nullptr) keep_stack_near(*attributes);
  // All signals are blocked while libc writes these.
  Guards guards;
  guards.object(thread);
  guards.object(attributes);
  const int result = TIARA_REAL(pthread_create)(thread, attributes, run_posix, start);
  if (result != 0) tiara::placement::heap::release(start);
  return result;
}

TIARA_INTERPOSE int thrd_create(thrd_t* thread, thrd_start_t routine, void* argument) {
  if (active_config() == nullptr) return TIARA_REAL(thrd_create)(thread, routine, argument);
  catch_raw_calls();
  auto* start = make_start(routine, argument);
  if (start == nullptr) return thrd_nomem;
  Guards guards;
  guards.object(thread);
  const int result = TIARA_REAL(thrd_create)(thread, run_c11, start);
  if (result != thrd_success) tiara::placement::heap::release(start);
  return result;
}
