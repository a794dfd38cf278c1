// What the load driver asks for: keys by distribution, and values whose every byte follows from key
// and version, so that each answer can be checked without keeping a copy.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "apps/common/random.h"

namespace tiara::apps::memcached {

enum class Distribution { kUniform, kZipf };
enum class Protocol { kMeta, kText };

struct Workload {
  uint64_t keys = 600'000;
  uint32_t value_size = 1024;  // bytes, at least kMinValueSize
  Distribution distribution = Distribution::kUniform;
  Protocol protocol = Protocol::kMeta;
  double set_ratio = 0;  // share of SETs among the requests of the measured part
  uint64_t seed = 1;
  uint32_t connections = 16;
  uint32_t threads = 1;  // of the driver
};

// Key number and version stand in the first bytes of every value.
inline constexpr uint32_t kMinValueSize = 16;

std::string key_text(uint64_t key);

// Fills `value` with the content that `key` has at `version`. The bytes look random: no compressor
// gains on them.
void make_value(uint64_t key, uint32_t version, std::span<char> value);

// What is wrong with a value that came back for `key`, or the version that it holds.
struct ValueCheck {
  bool is_right = false;
  uint32_t version = 0;
  std::string complaint;  // which byte differs and how; empty when right
};
ValueCheck check_value(uint64_t key, std::span<const char> value, uint32_t expected_size);

// Zipf-distributed ranks in [0, n) with exponent theta: Gray et al., Quickly Generating
// Billion-Record Synthetic Databases, SIGMOD 1994, as YCSB uses it.
class Zipf {
 public:
  Zipf(uint64_t n, double theta);
  uint64_t sample(Random& random) const;

 private:
  uint64_t n_;
  double theta_, alpha_, zeta_n_, eta_, half_pow_theta_;
};

// Draws key numbers. Popular keys of the Zipf distribution are scattered over the key space (YCSB:
// "scrambled").
class KeyChooser {
 public:
  explicit KeyChooser(const Workload& workload);
  uint64_t choose(Random& random) const;

 private:
  uint64_t keys_;
  std::optional<Zipf> zipf_;
};

// Which versions of each key may be seen. Only one connection writes a key (its owner), one SET at
// a time, so a GET must see a version from what was acknowledged when it was sent to what was
// issued when its answer came.
class Versions {
 public:
  explicit Versions(uint64_t keys)
      : issued_(std::make_unique<std::atomic<uint32_t>[]>(keys)),
        acknowledged_(std::make_unique<std::atomic<uint32_t>[]>(keys)) {}
  uint32_t issue(uint64_t key) { return issued_[key].fetch_add(1, std::memory_order_acq_rel) + 1; }
  void acknowledge(uint64_t key, uint32_t version) {
    acknowledged_[key].store(version, std::memory_order_release);
  }
  uint32_t oldest(uint64_t key) const { return acknowledged_[key].load(std::memory_order_acquire); }
  uint32_t newest(uint64_t key) const { return issued_[key].load(std::memory_order_acquire); }

 private:
  std::unique_ptr<std::atomic<uint32_t>[]> issued_, acknowledged_;
};

}  // namespace tiara::apps::memcached
