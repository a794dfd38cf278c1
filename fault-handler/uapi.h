// The kernel's userfaultfd interface, with what Debian 12's <linux/userfaultfd.h> is too old to know.
// Source: include/uapi/linux/userfaultfd.h of Linux 6.18. Nobody outside fault-handler/ includes this.
#pragma once

#include <linux/fs.h>
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

// Not in any released kernel: kernel-patches/. Far above the bits in use, so that no other feature is taken for one.
#ifndef UFFD_FEATURE_MOVE_VEC
#define UFFD_FEATURE_MOVE_VEC (1 << 29)
#endif
#ifndef UFFD_FEATURE_SIGBUS_USER
#define UFFD_FEATURE_SIGBUS_USER (1 << 30)
#endif
#ifndef PAGE_IS_ACCESSED
#define PAGE_IS_ACCESSED (1 << 16)
#endif

// Source: include/uapi/linux/fs.h of Linux 6.7.
#ifndef PAGEMAP_SCAN
struct pm_scan_arg {
  __u64 size;
  __u64 flags;
  __u64 start;
  __u64 end;
  __u64 walk_end;
  __u64 vec;
  __u64 vec_len;
  __u64 max_pages;
  __u64 category_inverted;
  __u64 category_mask;
  __u64 category_anyof_mask;
  __u64 return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
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
