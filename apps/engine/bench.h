// `tiara bench engine`: one page-table walk on the interpreter, on the JIT, and in C++, on the same tables in one run.
#pragma once

namespace tiara::apps::engine {

int bench_main(int argc, char** argv);

}  // namespace tiara::apps::engine
