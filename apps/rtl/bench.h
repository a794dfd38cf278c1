// `tiara bench rtl`: what the hardware engine takes, in cycles of its Verilated model.
#pragma once

namespace tiara::apps::rtl {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::rtl
