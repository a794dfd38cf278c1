// `tiara bench NAME`: one line here for each workload folder of apps/.
#include "apps/common/command.h"
#include "apps/tiara/commands.h"

namespace tiara::apps {
namespace {

// Each workload's main comes from its own folder: `int NAME_bench_main(int argc, char** argv)`.
constexpr std::span<const Command> kBenchmarks{};

}  // namespace

int bench_main(int argc, char** argv) {
  return dispatch("tiara bench", "tiara bench: measured, verified, against the honest baseline", kBenchmarks, argc, argv);
}

}  // namespace tiara::apps
