// The kernel's userfaultfd interface, with what Debian 12's <linux/userfaultfd.h> is too old to know.
// Source: include/uapi/linux/userfaultfd.h of Linux 6.18. Nobody outside fault-handler/ includes this.
#pragma once

#include <linux/userfaultfd.h>

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

#ifndef UFFDIO_MOVE
#define _UFFDIO_MOVE (0x05)
struct uffdio_move {
  __u64 dst;
  __u64 src;
  __u64 len;
#define UFFDIO_MOVE_MODE_DONTWAKE (__u64{1} << 0)
#define UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES (__u64{1} << 1)
  __u64 mode;
  __s64 move;  // bytes moved, or -errno when nothing was
};
#define UFFDIO_MOVE _IOWR(UFFDIO, _UFFDIO_MOVE, struct uffdio_move)
#endif
