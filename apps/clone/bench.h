// `tiara bench clone`: what a copy of an address space costs on the node, and what the writes after it
// cost; every page of both sides is compared, and every frame accounted for.
#pragma once

namespace tiara::apps::clone {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::clone
