// The command where Verilator was missing when Tiara was built.
#include <cstdio>

#include "apps/common/command.h"
#include "apps/rtl/bench.h"

namespace tiara::apps::rtl {

int bench_main(int, char**) {
  fputs("tiara bench rtl: this build has no model of the hardware, because Verilator was not there; install the "
        "package verilator and build again\n", stderr);
  return kExitUnavailable;
}

}  // namespace tiara::apps::rtl
