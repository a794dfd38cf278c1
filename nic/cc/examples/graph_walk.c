/* graph_walk(start, path, hops, key): follow edges through a graph, one line read a hop, until a key matches. In C
 * what nic/operators/graph_walk.tiara says in assembly.
 *
 *   start    offset of the first vertex, multiple of 64
 *   path     the edge to take at each hop: 3 bits a hop, from the lowest; 0 to 6 name an edge, 7 stays
 *   hops     edges to follow, at most 21 (63 bits of path)
 *   key      stop at the first vertex with this key
 *   returns  offset of the vertex where the walk ended; edges followed; 1 the key matched, 0 all hops were made,
 *            2 the edge does not exist
 *   reply    the last vertex's 64 bytes
 *
 * A vertex is one line: word 0 its key, words 1 to 7 the offsets of its neighbours (0: no edge).
 */
#include "tiara_op.h"

TIARA_OPERATOR(graph_walk, 1, .reply_bytes = 64, .scratchpad_bytes = 64);
TIARA_REGION(0, data, TIARA_READ);
TIARA_ARGUMENT(0, start, 0, 0xffffffffffc0, 63);
TIARA_ARGUMENT(1, path, 0, 0x7fffffffffffffff, 0);
TIARA_ARGUMENT(2, hops, 0, 21, 0);
TIARA_ARGUMENT(3, key, 0, ~0ull, 0);

enum { VERTEX = 0, VERTEX_BYTES = 64, KEY = 0, EDGES = 8, STAY = 7 };
enum how { ALL_HOPS, MATCHED, NO_EDGE };

void graph_walk(u64 start, u64 path, u64 hops, u64 key) {
  u64 at = start, followed = hops;
  enum how how = ALL_HOPS;
  tiara_ldline(VERTEX, data, at);
  if (tiara_pad_ld8(VERTEX + KEY) == key) {
    followed = 0;
    how = MATCHED;
  } else {
    TIARA_LOOP(i, hops, 21) {
      const u64 edge = path & 7;
      path >>= 3;
      if (edge != STAY) {
        const u64 next = tiara_pad_ld8(VERTEX + EDGES + edge * 8);
        if (next == 0) {
          followed = i;
          how = NO_EDGE;
          break;
        }
        at = next;
        tiara_ldline(VERTEX, data, at);
      }
      if (tiara_pad_ld8(VERTEX + KEY) == key) {
        followed = i + 1;
        how = MATCHED;
        break;
      }
    }
  }
  tiara_gather(data, at, VERTEX_BYTES);
  tiara_ret3(at, followed, how);
}
