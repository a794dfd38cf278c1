// `tiara bench policy`: what each eviction policy would have fetched, on recorded page references, beside LRU and
// Belady's optimum. Counts, not times.
#pragma once

namespace tiara::apps::policy {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::policy
