/* kv_gather(table, first, count, blocks, shift): the KV-cache blocks of a sequence, by its block table. In C what
 * nic/operators/kv_gather.tiara says in assembly.
 *
 *   table    offset of the sequence's block table: one 4-byte block number a block, multiple of 4
 *   first    the first block wanted
 *   count    blocks wanted, at most 32
 *   blocks   offset of block 0, multiple of 64
 *   shift    log2 of a block's bytes, 9 to 13 (512 B to 8 KiB)
 *   returns  blocks gathered; fewer than `count` when the table ends (an entry that is all ones)
 *   reply    the blocks in the table's order
 */
#include "tiara_op.h"

TIARA_OPERATOR(kv_gather, 1, .reply_bytes = 32 * 8192);
TIARA_REGION(0, data, TIARA_READ);
TIARA_ARGUMENT(0, table, 0, 0xfffffffffffc, 3);
TIARA_ARGUMENT(1, first, 0, 0xffffffff, 0);
TIARA_ARGUMENT(2, count, 1, 32, 0);
TIARA_ARGUMENT(3, blocks, 0, 0xffffffffffc0, 63);
TIARA_ARGUMENT(4, shift, 9, 13, 0);

enum { END = 0xffffffff };

u64 kv_gather(u64 table, u64 first, u64 count, u64 blocks, u64 shift) {
  const u64 bytes = 1ull << shift;
  TIARA_LOOP(i, count, 32) {
    const u32 number = tiara_ld4(data, table + (first + i) * 4);
    if (number == END) return i;
    tiara_gather(data, blocks + ((u64)number << shift), bytes);
  }
  return count;
}
