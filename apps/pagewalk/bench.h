// `tiara bench pagewalk`: how long it takes to find (and fetch) a page through a page table that
// lies on a memory node, for tables of 1 to 5 levels: one-sided READs, an RPC, a cached
// translation, and the Tiara operator.
#pragma once

namespace tiara::apps::pagewalk {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::pagewalk
