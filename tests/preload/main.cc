// Runs the tests of one program once far memory has started.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "tests/preload/far.h"

int main(int argc, char** argv) {
  far::start();
  if (tiara_is_active == nullptr || !tiara_is_active()) {
    fputs("far memory has not started: run this by preloaded.py\n", stderr);
    return 1;
  }
  return Catch::Session().run(argc, argv);
}
