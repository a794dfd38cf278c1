// The baseline that every Linux user has: kernel swap to zram under a memory cgroup. Set up whole,
// torn down whole: swapoff, the zram device reset and removed, the cgroup removed, also when the
// benchmark is interrupted.
//
// Needs root. What an earlier run left behind because it was killed with SIGKILL is cleaned up by
// the next one.
#pragma once

#include <memory>
#include <string>

#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::apps {

class MemoryCgroup {
 public:
  // A cgroup (v1 or v2, whichever has the memory controller) named after this process; `label` is
  // "zramN" or "loopN" when the limit goes with such a swap device, so that a later run can clean up both.
  static Result<std::unique_ptr<MemoryCgroup>> create(Bytes limit, const std::string& label);
  ~MemoryCgroup();
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;
  std::string procs_file() const { return path_ + "/cgroup.procs"; }
  std::string version() const { return is_v2_ ? "cgroup v2" : "cgroup v1"; }
  uint64_t oom_kills() const;

 private:
  MemoryCgroup(std::string path, bool is_v2) : path_(std::move(path)), is_v2_(is_v2) {}
  std::string path_;
  bool is_v2_;
};

class ZramSwap {
 public:
  // Creates a zram device of `size` bytes and swaps to it before any other device.
  static Result<std::unique_ptr<ZramSwap>> create(Bytes size);
  ~ZramSwap();
  ZramSwap(const ZramSwap&) = delete;
  ZramSwap& operator=(const ZramSwap&) = delete;
  std::string compressor() const;  // "lzo-rle"
  int device_number() const { return number_; }

 private:
  explicit ZramSwap(int number) : number_(number) {}
  Result<void> start(Bytes size);
  int number_;
  bool made_node_ = false;
  bool is_on_ = false;
};

// Why this user on this machine cannot have the baseline; empty when it can. Changes nothing.
std::string why_no_zram();
// The same for a memory cgroup alone.
std::string why_no_memory_cgroup();

}  // namespace tiara::apps
