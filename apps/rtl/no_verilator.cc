// The command where Tiara was built without the simulated NIC.
#include <cstdio>

#include "apps/common/command.h"
#include "apps/rtl/bench.h"

namespace tiara::apps::rtl {

int bench_main(int, char**) {
  fputs("tiara bench rtl: this build has no model of the hardware, because Verilator was not there or -Drtl=disabled "
        "was asked for; install the package verilator and build with -Drtl=enabled\n",
        stderr);
  return kExitUnavailable;
}

}  // namespace tiara::apps::rtl
