// A program that the verifier has accepted, with what it proved. Engines run nothing else.
#pragma once

#include <cstdint>
#include <utility>

#include "nic/isa/program.h"

namespace tiara::nic {

// Upper bounds over every run that the argument contracts admit; each bounds the Counts field of its name.
struct Bounds {
  uint64_t steps = 0;
  uint64_t loads = 0;
  uint64_t stores = 0;
  uint64_t lines = 0;
  uint64_t atomics = 0;
  uint64_t bytes_moved = 0;
  uint64_t remote_operations = 0;
  uint64_t in_flight = 0;     // bulk operations issued since the last wait
  uint64_t reply_bytes = 0;
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

class VerifiedProgram {
 public:
  const Program& program() const { return program_; }
  const Bounds& bounds() const { return bounds_; }

 private:
  friend class VerifiedProgramMaker;  // nic/verifier/verify.cc: nobody else can make one
  VerifiedProgram(Program program, Bounds bounds) : program_(std::move(program)), bounds_(bounds) {}

  Program program_;
  Bounds bounds_;
};

}  // namespace tiara::nic
