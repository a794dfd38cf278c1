#include "runtime/preload/signals.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/real.h"
#include "runtime/residency/far_memory.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(sigaction);
TIARA_DEFINE_REAL(signal);
TIARA_DEFINE_REAL(sysv_signal);
TIARA_DEFINE_REAL(pthread_sigmask);
TIARA_DEFINE_REAL(sigsuspend);
TIARA_DEFINE_REAL(ppoll);
TIARA_DEFINE_REAL(pselect);
TIARA_DEFINE_REAL(epoll_pwait);
TIARA_DEFINE_REAL(epoll_pwait2);

namespace {

constinit std::atomic<bool> is_ours{false};

// The program's action, in two copies with a flag that names the valid one: the handler reads it without a lock.
// Two threads that set the action at once are the program's own race, and it gets one of the two.
struct sigaction programs_actions[2];
constinit std::atomic<unsigned> valid_action{0};

const struct sigaction& programs_action() noexcept {
  return programs_actions[valid_action.load(std::memory_order_acquire)];  // pairs with remember()
}

void remember(const struct sigaction& action) noexcept {
  const unsigned other = 1 - valid_action.load(std::memory_order_relaxed);
  programs_actions[other] = action;
  valid_action.store(other, std::memory_order_release);
}

// Puts the default action back and returns: the access is made again and ends the process as it would have.
void die_by_default() noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  TIARA_REAL(sigaction)(SIGBUS, &standard, nullptr);
}

void chain(int signal, siginfo_t* info, void* context) noexcept {
  const struct sigaction action = programs_action();
  const bool is_synchronous = info->si_code > 0;
  if (action.sa_handler == SIG_IGN && !is_synchronous) return;
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
    die_by_default();
    if (!is_synchronous) raise(SIGBUS);
    return;
  }
  if ((static_cast<unsigned>(action.sa_flags) & SA_RESETHAND) != 0) {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    remember(standard);
  }
  // The mask that the program would have run under.
  sigset_t mask = static_cast<ucontext_t*>(context)->uc_sigmask;
  sigset_t both;
  sigorset(&both, &mask, &action.sa_mask);
  sigdelset(&both, SIGBUS);
  TIARA_REAL(pthread_sigmask)(SIG_SETMASK, &both, nullptr);
  if ((action.sa_flags & SA_SIGINFO) != 0)
    action.sa_sigaction(signal, info, context);
  else
    action.sa_handler(signal);
}

void on_sigbus(int signal, siginfo_t* info, void* context) noexcept {
  FarMemory* far = FarMemory::instance();
  if (far != nullptr && far->handle_sigbus(*info) == FaultVerdict::kHandled) return;
  chain(signal, info, context);
}

}  // namespace

void take_sigbus() noexcept {
  struct sigaction ours {};
  ours.sa_sigaction = on_sigbus;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  // Another handler that faults on the page we are resolving would wait for itself.
  sigfillset(&ours.sa_mask);
  struct sigaction before {};
  TIARA_REAL(sigaction)(SIGBUS, nullptr, &before);
  remember(before);
  is_ours.store(true, std::memory_order_release);
  TIARA_REAL(sigaction)(SIGBUS, &ours, nullptr);
}

}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int sigaction(int signal, const struct sigaction* __restrict action,
                              struct sigaction* __restrict old) {
  struct sigaction wanted {};
  if (action != nullptr) {
    wanted = *action;
    sigdelset(&wanted.sa_mask, SIGBUS);
  }
  if (signal == SIGBUS && is_ours.load(std::memory_order_acquire)) {
    const struct sigaction before = programs_action();
    if (action != nullptr) remember(wanted);
    if (old != nullptr) *old = before;
    return 0;
  }
  struct sigaction before {};
  const int result = TIARA_REAL(sigaction)(signal, action != nullptr ? &wanted : nullptr, &before);
  if (result == 0 && old != nullptr) *old = before;
  return result;
}

namespace {

sighandler_t set_sigbus_handler(sighandler_t handler, int flags) noexcept {
  struct sigaction wanted {};
  struct sigaction before {};
  wanted.sa_handler = handler;
  wanted.sa_flags = flags;
  return sigaction(SIGBUS, &wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}

}  // namespace

TIARA_INTERPOSE sighandler_t signal(int number, sighandler_t handler) {
  return number == SIGBUS ? set_sigbus_handler(handler, SA_RESTART) : TIARA_REAL(signal)(number, handler);
}

TIARA_INTERPOSE sighandler_t sysv_signal(int number, sighandler_t handler) {
  return number == SIGBUS ? set_sigbus_handler(handler, static_cast<int>(SA_RESETHAND | SA_NODEFER))
                          : TIARA_REAL(sysv_signal)(number, handler);
}

TIARA_INTERPOSE int pthread_sigmask(int how, const sigset_t* __restrict mask, sigset_t* __restrict old) {
  sigset_t before;
  const UnblockedSigbus wanted(mask);
  const int result =
      TIARA_REAL(pthread_sigmask)(how, how == SIG_UNBLOCK ? mask : wanted.get(), old != nullptr ? &before : nullptr);
  if (result == 0 && old != nullptr) *old = before;
  return result;
}

TIARA_INTERPOSE int sigprocmask(int how, const sigset_t* __restrict mask, sigset_t* __restrict old) {
  const int result = pthread_sigmask(how, mask, old);
  if (result == 0) return 0;
  errno = result;
  return -1;
}

TIARA_INTERPOSE int sigsuspend(const sigset_t* mask) { return TIARA_REAL(sigsuspend)(UnblockedSigbus(mask).get()); }

TIARA_INTERPOSE int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Guards guards;
  guards.object(fds, count);
  guards.object(timeout);
  return TIARA_REAL(ppoll)(fds, count, timeout, UnblockedSigbus(mask).get());
}

TIARA_INTERPOSE int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t) {
  return ppoll(fds, count, timeout, mask);
}

TIARA_INTERPOSE int pselect(int count, fd_set* __restrict reads, fd_set* __restrict writes, fd_set* __restrict errors,
                            const timespec* __restrict timeout, const sigset_t* __restrict mask) {
  const size_t length = (static_cast<size_t>(count) + 63) / 64 * 8;
  Guards guards;
  guards.bytes(reads, length);
  guards.bytes(writes, length);
  guards.bytes(errors, length);
  guards.object(timeout);
  return TIARA_REAL(pselect)(count, reads, writes, errors, timeout, UnblockedSigbus(mask).get());
}

TIARA_INTERPOSE int epoll_pwait(int epoll, epoll_event* events, int count, int timeout, const sigset_t* mask) {
  Guards guards;
  guards.object(events, count > 0 ? static_cast<size_t>(count) : 0);
  return TIARA_REAL(epoll_pwait)(epoll, events, count, timeout, UnblockedSigbus(mask).get());
}

TIARA_INTERPOSE int epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout,
                                 const sigset_t* mask) {
  Guards guards;
  guards.object(events, count > 0 ? static_cast<size_t>(count) : 0);
  guards.object(timeout);
  return TIARA_REAL(epoll_pwait2)(epoll, events, count, timeout, UnblockedSigbus(mask).get());
}
