// `tiara bench NAME`: one line here for each workload folder of apps/.
#include "apps/chase/bench.h"
#include "apps/clone/bench.h"
#include "apps/common/command.h"
#include "apps/engine/bench.h"
#include "apps/fault/bench.h"
#include "apps/memcached/bench.h"
#include "apps/node/bench.h"
#include "apps/pagewalk/bench.h"
#include "apps/policy/bench.h"
#include "apps/rtl/bench.h"
#include "apps/tiara/commands.h"

namespace tiara::apps {
namespace {

// Each workload's main comes from its own folder: `int NAME::bench_main(int argc, char** argv)`.
// Those that the build was asked for (-Dbenchmarks).
constexpr Command kBenchmarks[] = {
#if TIARA_ALL_BENCHMARKS
    {"chase", "a linked list, hop by hop and with the node following the links", chase::bench_main},
    {"clone", "an address space copied on the node, then changed on both sides", clone::bench_main},
    {"engine", "one page walk: interpreter, JIT, C++", engine::bench_main},
    {"fault", "page faults: the floor, Tiara, kernel swap to zram and to a loop device", fault::bench_main},
#endif
    {"memcached", "GETs from memcached: all local, Tiara, kernel swap to zram",
     memcached::bench_main},
#if TIARA_ALL_BENCHMARKS
    {"node", "a node over tcp: against the bare network, and under many clients", node::bench_main},
    {"pagewalk", "a page through a remote page table: one-sided, RPC, cached, operator",
     pagewalk::bench_main},
    {"policy", "eviction policies on recorded page references, beside LRU and Belady", policy::bench_main},
    {"rtl", "cycles of the hardware engine's Verilated model", rtl::bench_main},
#endif
};

}  // namespace

int bench_main(int argc, char** argv) {
  return dispatch("tiara bench", "tiara bench: measured, verified, against the honest baseline",
                  kBenchmarks, argc, argv);
}

}  // namespace tiara::apps
