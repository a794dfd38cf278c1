// `tiara bench node`: a memory node over tcp against the bare network, under many clients.
#pragma once

namespace tiara::apps::node {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::node
