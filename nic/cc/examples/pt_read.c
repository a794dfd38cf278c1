/* pt_read(first, bitmap): fetch up to 64 pages of [first, first + 64) in one round trip, at any depth. In C what
 * pt_read.tiara says in assembly: same contract, results, reply and failures.
 *
 *   first    page number
 *   bitmap   bit i asks for page first + i; not 0; the highest page is below the space's max_pages
 *   returns  bitmap of the pages that are present; the reply holds them, 4096 bytes each, in ascending order
 *   fails 3  page number out of range
 *
 * For address spaces that are never cloned: it masks no marks of shared tables and does not watch for their end.
 */
#include "tiara_op.h"

TIARA_OPERATOR(pt_read, 1, .reply_bytes = 64 * 4096);
TIARA_REGION(0, pool, TIARA_READ);
TIARA_REGION(1, space, TIARA_READ);
TIARA_ARGUMENT(0, first, 0, 0x1fffffffffff, 0);
TIARA_ARGUMENT(1, bitmap, 1, ~0ull, 0);

/* struct SpaceDescriptor of nic/node/pool_layout.h */
enum { ROOT = 0, LEVELS = 8, MAX_PAGES = 16, PAGE_BYTES = 4096, OUT_OF_RANGE = 3 };

u64 pt_read(u64 first, u64 bitmap) {
  if (first + 63 - tiara_clz(bitmap) >= tiara_ld8(space, MAX_PAGES)) tiara_fail(OUT_OF_RANGE);
  const u64 root = tiara_ld8(space, ROOT);
  if (root == 0) return 0;
  const u64 levels = tiara_ld8(space, LEVELS);
  const u64 shift = (5 - levels) * 9; /* brings the top index to bits 36 to 44 */
  u64 rest = bitmap, present = bitmap;
  u64 leaf_number = ~0ull, leaf = 0; /* neighbours share a leaf table: it is looked up once */

  TIARA_LOOP(i, tiara_popcnt(bitmap), 64) {
    const u64 bit = tiara_ctz(rest);
    const u64 page = first + bit;
    rest &= rest - 1;
    if (page >> 9 != leaf_number) {
      leaf_number = page >> 9;
      leaf = root;
      u64 index = page << shift;
      TIARA_LOOP(level, levels - 1, 4) {
        leaf = tiara_ld8(pool, leaf + (index >> 36 & 511) * 8);
        if (leaf == 0) break;
        index <<= 9;
      }
    }
    const u64 entry = leaf == 0 ? 0 : tiara_ld8(pool, leaf + (page & 511) * 8);
    if (entry != 0)
      tiara_gather(pool, entry, PAGE_BYTES);
    else
      present ^= 1ull << bit;
  }
  return present;
}
