// `tiara bench fault`: what a page fault costs. One process and one set of access patterns on far
// memory, on kernel swap to zram and to a RAM-backed loop device at the same memory limit, and
// beside them the floor: the same delivery with one UFFDIO_COPY from local memory and no policy.
#pragma once

namespace tiara::apps::fault {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::fault
