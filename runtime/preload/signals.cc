#include "runtime/preload/signals.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/raw_calls.h"
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

// A signal that the runtime can take over. The program's action is kept in two copies with a number that names the
// valid one: the handler reads it without a lock. Two threads that set the action at once are the program's own race,
// and it gets one of the two.
class Reserved {
 public:
  constexpr explicit Reserved(int number) noexcept : number_(number) {}
  int number() const noexcept { return number_; }
  bool is_ours() const noexcept { return is_ours_.load(std::memory_order_acquire); }
  const struct sigaction& programs() const noexcept {
    return actions_[valid_.load(std::memory_order_acquire)];  // pairs with remember()
  }
  void remember(const struct sigaction& action) noexcept {
    const unsigned other = 1 - valid_.load(std::memory_order_relaxed);
    actions_[other] = action;
    valid_.store(other, std::memory_order_release);
  }
  void take(const struct sigaction& ours) noexcept {
    struct sigaction before {};
    TIARA_REAL(sigaction)(number_, nullptr, &before);
    remember(before);
    is_ours_.store(true, std::memory_order_release);  // pairs with is_ours()
    TIARA_REAL(sigaction)(number_, &ours, nullptr);
  }
  // Puts the default action back: what happens next ends the process as it would have.
  void give_back() const noexcept {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    TIARA_REAL(sigaction)(number_, &standard, nullptr);
  }

 private:
  const int number_;
  std::atomic<bool> is_ours_{false};
  std::atomic<unsigned> valid_{0};
  struct sigaction actions_[2]{};
};

constinit Reserved bus{SIGBUS};
constinit Reserved sys{SIGSYS};

// nullptr for a signal that is the program's own.
Reserved* reserved(int signal) noexcept {
  if (signal == SIGBUS && bus.is_ours()) return &bus;
  if (signal == SIGSYS && sys.is_ours()) return &sys;
  return nullptr;
}

void forbid_reserved(sigset_t& mask) noexcept {
  sigdelset(&mask, SIGBUS);
  if (sys.is_ours()) sigdelset(&mask, SIGSYS);
}

void on_sigbus(int signal, siginfo_t* info, void* context) noexcept {
  FarMemory* far = FarMemory::instance();
  if (far != nullptr) {
    const RuntimeCalls ours;
    if (far->handle_sigbus(*info) == FaultVerdict::kHandled) return;
  }
  chain_signal(signal, info, context);
}

}  // namespace

void chain_signal(int signal, siginfo_t* info, void* context) noexcept {
  Reserved& taken = signal == SIGBUS ? bus : sys;
  const struct sigaction action = taken.programs();
  const bool is_synchronous = info->si_code > 0;
  if (action.sa_handler == SIG_IGN && !is_synchronous) return;
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
    taken.give_back();
    // A bad access is made again when the handler returns; a refused system call is not.
    if (!is_synchronous || signal == SIGSYS) raise(signal);
    return;
  }
  if ((static_cast<unsigned>(action.sa_flags) & SA_RESETHAND) != 0) {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    taken.remember(standard);
  }
  // The mask that the program would have run under.
  sigset_t mask = static_cast<ucontext_t*>(context)->uc_sigmask;
  sigset_t both;
  sigorset(&both, &mask, &action.sa_mask);
  forbid_reserved(both);
  TIARA_REAL(pthread_sigmask)(SIG_SETMASK, &both, nullptr);
  if ((action.sa_flags & SA_SIGINFO) != 0)
    action.sa_sigaction(signal, info, context);
  else
    action.sa_handler(signal);
}

void take_sigbus() noexcept {
  struct sigaction ours {};
  ours.sa_sigaction = on_sigbus;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  // Another handler that faults on the page we are resolving would wait for itself.
  sigfillset(&ours.sa_mask);
  bus.take(ours);
}

void take_sigsys(void (*handler)(int, siginfo_t*, void*)) noexcept {
  struct sigaction ours {};
  ours.sa_sigaction = handler;
  // Nothing is blocked: a call that blocks is interrupted by the program's signals as if it had been made in place.
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
  sys.take(ours);
}

bool is_sigsys_taken() noexcept { return sys.is_ours(); }

uint64_t reserved_signal_bits() noexcept {
  const auto bit = [](int signal) { return uint64_t{1} << (signal - 1); };
  return bit(SIGBUS) | (sys.is_ours() ? bit(SIGSYS) : 0);
}

void let_reserved_signals_through() noexcept {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGBUS);
  if (sys.is_ours()) sigaddset(&mask, SIGSYS);
  TIARA_REAL(pthread_sigmask)(SIG_UNBLOCK, &mask, nullptr);
}

PermittedMask::PermittedMask(const sigset_t* mask) noexcept : is_null_(mask == nullptr) {
  if (is_null_) return;
  mask_ = *mask;
  forbid_reserved(mask_);
}

}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int sigaction(int signal, const struct sigaction* __restrict action,
                              struct sigaction* __restrict old) {
  struct sigaction wanted {};
  if (action != nullptr) {
    wanted = *action;
    forbid_reserved(wanted.sa_mask);
  }
  if (Reserved* taken = reserved(signal); taken != nullptr) {
    const struct sigaction before = taken->programs();
    if (action != nullptr) taken->remember(wanted);
    if (old != nullptr) *old = before;
    return 0;
  }
  struct sigaction before {};
  const int result = TIARA_REAL(sigaction)(signal, action != nullptr ? &wanted : nullptr, &before);
  if (result == 0 && old != nullptr) *old = before;
  return result;
}

namespace {

sighandler_t set_handler(int signal, sighandler_t handler, int flags) noexcept {
  struct sigaction wanted {};
  struct sigaction before {};
  wanted.sa_handler = handler;
  wanted.sa_flags = flags;
  return sigaction(signal, &wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}

}  // namespace

TIARA_INTERPOSE sighandler_t signal(int number, sighandler_t handler) {
  return reserved(number) != nullptr ? set_handler(number, handler, SA_RESTART) : TIARA_REAL(signal)(number, handler);
}

TIARA_INTERPOSE sighandler_t sysv_signal(int number, sighandler_t handler) {
  return reserved(number) != nullptr ? set_handler(number, handler, static_cast<int>(SA_RESETHAND | SA_NODEFER))
                                     : TIARA_REAL(sysv_signal)(number, handler);
}

TIARA_INTERPOSE int pthread_sigmask(int how, const sigset_t* __restrict mask, sigset_t* __restrict old) {
  sigset_t before;
  const PermittedMask wanted(mask);
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

TIARA_INTERPOSE int sigsuspend(const sigset_t* mask) { return TIARA_REAL(sigsuspend)(PermittedMask(mask).get()); }

TIARA_INTERPOSE int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Guards guards;
  guards.object(fds, count);
  guards.object(timeout);
  return TIARA_REAL(ppoll)(fds, count, timeout, PermittedMask(mask).get());
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
  return TIARA_REAL(pselect)(count, reads, writes, errors, timeout, PermittedMask(mask).get());
}

TIARA_INTERPOSE int epoll_pwait(int epoll, epoll_event* events, int count, int timeout, const sigset_t* mask) {
  Guards guards;
  guards.object(events, count > 0 ? static_cast<size_t>(count) : 0);
  return TIARA_REAL(epoll_pwait)(epoll, events, count, timeout, PermittedMask(mask).get());
}

TIARA_INTERPOSE int epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout,
                                 const sigset_t* mask) {
  Guards guards;
  guards.object(events, count > 0 ? static_cast<size_t>(count) : 0);
  guards.object(timeout);
  return TIARA_REAL(epoll_pwait2)(epoll, events, count, timeout, PermittedMask(mask).get());
}
