// The subcommands of `tiara`, one file each.
#pragma once

namespace tiara::apps {

int asm_main(int argc, char** argv);
int bench_main(int argc, char** argv);
int cc_main(int argc, char** argv);
int disasm_main(int argc, char** argv);
int doctor_main(int argc, char** argv);
int exec_main(int argc, char** argv);
int node_main(int argc, char** argv);
int run_main(int argc, char** argv);
int verify_main(int argc, char** argv);

}  // namespace tiara::apps
