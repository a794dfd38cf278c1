// The rows of guarded_calls.def as functions.
#include <climits>
#include <cstdint>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <unistd.h>
#include <utime.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/real.h"

// Exported by libc for fortified and for old programs; no header declares them (any more).
extern "C" {
int __open_2(const char*, int);
int __open64_2(const char*, int);
int __openat_2(int, const char*, int);
int __openat64_2(int, const char*, int);
ssize_t __readlink_chk(const char*, char*, size_t, size_t);
ssize_t __readlinkat_chk(int, const char*, char*, size_t, size_t);
char* __getcwd_chk(char*, size_t, size_t);
char* __realpath_chk(const char*, char*, size_t);
int __xstat(int, const char*, struct stat*);
int __xstat64(int, const char*, struct stat64*);
int __lxstat(int, const char*, struct stat*);
int __lxstat64(int, const char*, struct stat64*);
int __fxstat(int, int, struct stat*);
int __fxstat64(int, int, struct stat64*);
int __fxstatat(int, int, const char*, struct stat*, int);
int __fxstatat64(int, int, const char*, struct stat64*, int);
int __poll_chk(pollfd*, nfds_t, int, size_t);
int __getgroups_chk(int, gid_t*, size_t);
}

namespace tiara::preload {
#define GUARDED(result, function, parameters, arguments, ...) TIARA_DEFINE_REAL(function);
#include "runtime/preload/guarded_calls.def"
#undef GUARDED
}  // namespace tiara::preload

using namespace tiara::preload;

#define GUARDED(result, function, parameters, arguments, ...)       \
  TIARA_INTERPOSE result function parameters {                      \
    if (!is_guarding()) return TIARA_REAL(function) arguments;      \
    Guards g;                                                       \
    __VA_ARGS__;                                                    \
    return TIARA_REAL(function) arguments;                          \
  }
#include "runtime/preload/guarded_calls.def"
