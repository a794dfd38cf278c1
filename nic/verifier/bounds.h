// Proved bounds of a program: no run, whatever its arguments and whatever memory holds, exceeds any of them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "nic/isa/outcome.h"
#include "nic/isa/program.h"
#include "nic/verifier/facts.h"
#include "nic/verifier/flow.h"

namespace tiara::nic {

// Each is the maximum over all paths on its own: no single run need reach them all. UINT64_MAX: unbounded.
struct Bounds {
  uint64_t steps = 0;  // as Counts: instructions retired
  uint64_t loads = 0;  // region and payload reads of 1 to 8 bytes
  uint64_t stores = 0;
  uint64_t lines = 0;
  uint64_t atomics = 0;
  uint64_t bytes_moved = 0;  // by bulk operations and remote gathers
  uint64_t remote_operations = 0;
  uint64_t reply_bytes = 0;
  uint64_t bulk_operations = 0;
  uint64_t in_flight = 0;  // bulk operations started since the last wait
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

Bounds prove_bounds(const Program& program, const Flow& flow, std::span<const InstructionFacts> facts);

// What things cost on a device, in picoseconds: one instruction of each cost class, and a byte of bulk
// movement.
struct DeviceConstants {
  std::array<uint64_t, kCostClasses> instruction_ps{};
  uint64_t byte_ps = 0;
};

// The paper's FPGA behind PCIe: 200 MHz, 0.75 us for a read of host memory, posted stores, 100 Gb/s for bulk
// bytes, 2.5 us for a round trip to another node.
DeviceConstants fpga_over_pcie();

// What a run that counted this took on such a device, queueing apart, as nearly as counts can say.
uint64_t time_ps(const Counts& counts, uint64_t reply_bytes, const DeviceConstants& device) noexcept;

// No run takes longer on such a device, queueing apart. Saturates.
uint64_t worst_case_ps(const Program& program, const Flow& flow, std::span<const InstructionFacts> facts,
                       const DeviceConstants& device);

}  // namespace tiara::nic
