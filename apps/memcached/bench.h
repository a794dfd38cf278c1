// `tiara bench memcached`: Debian's memcached, unmodified, with all of its memory local, under
// Tiara and under kernel swap, driven and verified by one load driver in one run.
#pragma once

namespace tiara::apps::memcached {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::memcached
