// `tiara bench chase`: a linked list over far memory, hop by hop, and with the node following the links (tiara_follow).
#pragma once

namespace tiara::apps::chase {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::chase
