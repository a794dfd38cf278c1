// mover [COMMANDS [SEED]]: random moves through the Verilated mover, against memmove: every byte that belongs to a
// command arrives, no other byte changes, and nothing is read or written outside it.
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "nic/rtl/dv/mover_host.h"

namespace tiara::nic::rtl {
namespace {

constexpr uint64_t kBytes = 1 << 20;
constexpr uint64_t kMostCycles = 10'000'000;

int run(uint64_t commands, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> source(kBytes), expected(kBytes);
  for (auto& each : source) each = static_cast<std::byte>(random());
  for (auto& each : expected) each = static_cast<std::byte>(random());
  std::vector<std::byte> destination = expected;
  uint64_t moved = 0, done = 0;
  while (done < commands) {
    constexpr uint32_t kPercents[] = {0, 10, 50, 90};
    const uint32_t least = static_cast<uint32_t>(1 + random() % 100);
    MoverHost host({least, static_cast<uint32_t>(least + random() % 200), kPercents[random() % 4],
                    kPercents[random() % 4], random()}, source, destination);
    const uint64_t batch = std::min<uint64_t>(commands - done, 1 + random() % 64);
    for (uint64_t n = 0; n < batch; ++n) {
      // Mostly short ones, whose ends meet; some longer than the ring.
      constexpr uint64_t kLongest[] = {1, 64, 200, 5000, 40'000};
      const uint64_t length = random() % (kLongest[random() % 5] + 1);
      const uint64_t from = random() % (kBytes - length), to = random() % (kBytes - length);
      std::copy_n(source.begin() + static_cast<ptrdiff_t>(from), length,
                  expected.begin() + static_cast<ptrdiff_t>(to));
      host.submit({from, to, length, static_cast<uint8_t>(random())});
      moved += length;
    }
    while (host.done() < batch) {
      host.tick();
      if (host.cycles() > kMostCycles) {
        std::cerr << "seed " << seed << ": after " << done + host.done() << " commands nothing comes any more\n";
        return 1;
      }
    }
    done += batch;
    if (destination != expected) {
      std::cerr << "seed " << seed << ": bytes differ in the batch that ends with command " << done << "\n";
      return 1;
    }
  }
  std::cout << done << " commands, " << moved << " bytes, no difference\n";
  return 0;
}

}  // namespace
}  // namespace tiara::nic::rtl

int main(int argc, char** argv) {
  const uint64_t commands = argc > 1 ? strtoull(argv[1], nullptr, 10) : 1000;
  const uint64_t seed = argc > 2 ? strtoull(argv[2], nullptr, 10) : 1;
  if (commands == 0) {
    std::cerr << "usage: mover [COMMANDS [SEED]]\n";
    return 64;
  }
  return tiara::nic::rtl::run(commands, seed);
}
