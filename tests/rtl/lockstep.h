// Holds the RTL core against the interpreter: both run one program on equal worlds; every instruction begins at the
// same place with the same registers, and in the end outcome, counts, reply and memory are the same.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nic/engine/interpret.h"
#include "nic/rtl/dv/core_host.h"

namespace tiara::nic::rtl {

// One of two equal worlds.
struct Side {
  RegionTable regions{};
  std::vector<std::span<const std::byte>> memory;  // everything that must be equal in the end, the reply apart
  std::span<const std::byte> payload;
  std::span<std::byte> reply;
  RemotePort* remote = nullptr;
  std::shared_ptr<void> owner;
};

// What was met, for the coverage report: instruction by fault (0: it retired).
using Coverage = std::map<std::pair<Opcode, uint16_t>, uint64_t>;

class Lockstep {
 public:
  // The interpreter runs here and now. The name is for what is printed.
  Lockstep(std::string name, Program program, std::vector<uint64_t> arguments, Side model, Side core,
           uint64_t step_limit, Coverage& coverage);
  CoreJob& job() { return job_; }
  bool is_done() const { return is_done_; }
  const std::string& difference() const { return difference_; }  // empty: none
  const std::string& name() const { return name_; }
  const Program& program() const { return program_; }
  uint64_t steps() const { return places_.size(); }

 private:
  struct Place {
    uint32_t pc;
    Registers registers;
  };
  void begins(uint32_t pc, const Registers& registers);
  void done(const Outcome& outcome);

  std::string name_;
  Program program_;
  std::vector<uint64_t> arguments_;
  Side model_, core_;
  CoreJob job_;
  Outcome expected_;
  std::vector<Place> places_;
  size_t next_ = 0;
  bool is_done_ = false;
  std::string difference_;
};

}  // namespace tiara::nic::rtl
