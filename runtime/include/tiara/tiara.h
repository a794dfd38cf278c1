/* Tiara's C interface for programs that know they may run under it. No program has to.
 *
 * The functions live in libtiara.so, which `tiara run` preloads. Declare your use weak and test the pointer, and the
 * program runs without Tiara too:
 *
 *   #define TIARA_WEAK
 *   #include <tiara/tiara.h>
 *   if (tiara_bring_near && tiara_is_active()) tiara_bring_near(index, index_size);
 *
 * All functions may be called from any thread at any time, except from signal handlers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef TIARA_WEAK
#define TIARA_API __attribute__((weak))
#else
#define TIARA_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* 1 when far memory has started in this process, 0 before that and without it. */
TIARA_API int tiara_is_active(void);

/* 1 when the address lies in far memory (its page may still be here), else 0. */
TIARA_API int tiara_is_far(const void* address);

/* Fetches the pages of [address, address + length) and keeps them here until tiara_let_go. Bytes outside far memory
 * are here anyway. Returns 0, or -1 with errno ENOTSUP when far memory has not started. Whole pages: neighbours on the
 * first and last page stay too. */
TIARA_API int tiara_bring_near(const void* address, size_t length);
TIARA_API int tiara_let_go(const void* address, size_t length);

/* Lists (free lists, hash chains, queues) whose objects lie one behind the other, `object_bytes` each, from `objects`
 * on, and point to each other by an 8-byte pointer, aligned, `link_offset` bytes inside. When such an object has to be
 * fetched, the node follows up to `hops` pointers (1 to 32), and the pages they lead to come in the same round trip.
 * The pointers may lead anywhere in far memory where they find an object of the same layout; elsewhere the chain ends.
 * Signal and hybrid delivery only: message delivery does not say which byte was touched. The rule ends when the memory
 * is unmapped, by tiara_forget, and in a forked child.
 * Returns 0, or -1 with errno ENOTSUP (not started), EINVAL (a value out of range, or not all far memory) or ENOSPC
 * (more than 64 rules). */
struct tiara_links {
  size_t size;          /* sizeof(struct tiara_links) */
  size_t object_bytes;  /* at least link_offset + 8 */
  size_t link_offset;   /* a multiple of 8 */
  unsigned hops;
};
TIARA_API int tiara_follow(const void* objects, size_t length, const struct tiara_links* links);
/* Ends the rules whose memory begins in [objects, objects + length). */
TIARA_API int tiara_forget(const void* objects, size_t length);

/* What far memory does in this process, in pages of 4096 bytes unless said otherwise. Counters only grow. */
struct tiara_stats {
  size_t size;              /* set by the caller to sizeof(struct tiara_stats): later versions may append fields */
  uint64_t far_pages;       /* hold data, here or on the node */
  uint64_t resident_pages;  /* of these, mapped here */
  uint64_t remote_pages;    /* of these, only on the node */
  uint64_t budget_pages;    /* may be here */
  uint64_t fetched_pages;   /* received from the node so far */
  uint64_t written_pages;   /* sent to the node so far */
  uint64_t fetch_calls;     /* in which fetched_pages came: round trips */
};
/* Returns 0, or -1 with errno ENOTSUP (not started) or EINVAL (size is smaller than the first version's). */
TIARA_API int tiara_get_stats(struct tiara_stats* stats);

#ifdef __cplusplus
}
#endif
