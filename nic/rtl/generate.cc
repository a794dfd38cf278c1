// rtl_microcode PACKAGE.sv ROM.svh: writes what the core is built from.
#include <fstream>
#include <iostream>

#include "nic/rtl/microcode.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: rtl_microcode PACKAGE.sv ROM.svh\n";
    return 64;
  }
  const auto code = tiara::nic::rtl::assemble_microcode();
  std::ofstream package(argv[1]), rom(argv[2]);
  print_package(code, package);
  print_rom(code, rom);
  return package.flush() && rom.flush() ? 0 : 1;
}
