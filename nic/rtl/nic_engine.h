// The NIC as an engine that takes frames of a real network besides: clients there speak nic/wire/ethernet.h to it, and
// run what was granted to them without anybody in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "nic/engine/engine.h"
#include "nic/wire/ethernet.h"
#include "runtime/base/error.h"

namespace tiara::nic::rtl {

// A program, and the regions that it has. The memory stays mapped as long as the engine lives.
struct Grant {
  const VerifiedProgram* program;
  RegionTable regions;
};

// How a network client names what was granted to it.
struct Admission {
  uint32_t client = 0;                // number of its datagrams
  uint32_t tenant = 0, space = 0;     // of its invocations
  std::vector<uint32_t> operators;    // in the order of the grants
};

struct NetworkFigures {
  uint32_t run = 0, refused = 0, answered_again = 0, dropped = 0;
};

class NicEngine : public Engine {
 public:
  // Clients beside the engine's own.
  static constexpr uint32_t kNetworkClients = 7;

  // For good. kResourceExhausted: no client, operator or region table of the NIC is free.
  virtual Result<Admission> admit(const wire::NetworkAddress& client, std::span<const Grant> grants) = 0;
  // Gives the NIC these frames, and clocks it until it has nothing to do for network clients; then no request of
  // theirs runs, and what it says to them has been added to `out`. One thread at a time.
  virtual void exchange(std::span<const std::vector<std::byte>> in, std::vector<std::vector<std::byte>>& out) = 0;
  // Since the engine was made, its own runs included in `run` and `refused`.
  virtual NetworkFigures network_figures() = 0;
};

}  // namespace tiara::nic::rtl
