#include "apps/memcached/workload.h"

#include <fmt/core.h>

#include <cmath>
#include <cstring>

namespace tiara::apps::memcached {
namespace {

struct Header {
  uint64_t key;
  uint32_t version;
  uint32_t size;
};
static_assert(sizeof(Header) == kMinValueSize);

// The 8 bytes at word `index` of a value.
uint64_t word_of(uint64_t stream, uint64_t index) {
  return mix64(stream + index * kGoldenGamma);
}
uint64_t stream_of(uint64_t key, uint32_t version) {
  return mix64(key * kGoldenGamma + version);
}

double zeta(uint64_t n, double theta) {
  double sum = 0;
  for (uint64_t i = 1; i <= n; ++i) sum += std::pow(static_cast<double>(i), -theta);
  return sum;
}

}  // namespace

std::string key_text(uint64_t key) {
  return fmt::format("tiara:{:010}", key);
}

void make_value(uint64_t key, uint32_t version, std::span<char> value) {
  const Header header{key, version, static_cast<uint32_t>(value.size())};
  memcpy(value.data(), &header, sizeof header);
  const uint64_t stream = stream_of(key, version);
  size_t at = sizeof header;
  for (; at + 8 <= value.size(); at += 8) {
    const uint64_t word = word_of(stream, at);
    memcpy(value.data() + at, &word, 8);
  }
  const uint64_t last = word_of(stream, at);
  memcpy(value.data() + at, &last, value.size() - at);
}

ValueCheck check_value(uint64_t key, std::span<const char> value, uint32_t expected_size) {
  if (value.size() != expected_size)
    return {false, 0,
            fmt::format("key {}: {} bytes came back, {} were stored", key, value.size(),
                        expected_size)};
  Header header;
  memcpy(&header, value.data(), sizeof header);
  if (header.key != key || header.size != expected_size)
    return {false, 0,
            fmt::format("key {}: the value says key {:#x}, size {}", key, header.key, header.size)};
  const uint64_t stream = stream_of(key, header.version);
  size_t at = sizeof header;
  uint64_t difference = 0;
  for (; at + 8 <= value.size(); at += 8) {
    uint64_t word;
    memcpy(&word, value.data() + at, 8);
    difference = word ^ word_of(stream, at);
    if (difference != 0) break;
  }
  if (difference == 0 && at < value.size()) {
    uint64_t word = word_of(stream, at);
    if (memcmp(&word, value.data() + at, value.size() - at) != 0) difference = 1;
  }
  if (difference == 0) return {true, header.version, {}};
  uint64_t got = 0;
  memcpy(&got, value.data() + at, std::min<size_t>(8, value.size() - at));
  return {false, header.version,
          fmt::format("key {} version {}: the bytes at {} are {:#018x}, not {:#018x}", key,
                      header.version, at, got, word_of(stream, at))};
}

Zipf::Zipf(uint64_t n, double theta)
    : n_(n),
      theta_(theta),
      alpha_(1 / (1 - theta)),
      zeta_n_(zeta(n, theta)),
      eta_((1 - std::pow(2.0 / static_cast<double>(n), 1 - theta)) /
           (1 - zeta(2, theta) / zeta_n_)),
      half_pow_theta_(std::pow(0.5, theta)) {}

uint64_t Zipf::sample(Random& random) const {
  const double u = random.unit();
  const double uz = u * zeta_n_;
  if (uz < 1) return 0;
  if (uz < 1 + half_pow_theta_) return 1;
  const auto rank =
      static_cast<uint64_t>(static_cast<double>(n_) * std::pow(eta_ * u - eta_ + 1, alpha_));
  return std::min(rank, n_ - 1);  // rounding may reach n
}

namespace {
constexpr double kYcsbTheta = 0.99;
}

KeyChooser::KeyChooser(const Workload& workload) : keys_(workload.keys) {
  if (workload.distribution == Distribution::kZipf && workload.keys > 2)
    zipf_.emplace(workload.keys, kYcsbTheta);
}

uint64_t KeyChooser::choose(Random& random) const {
  if (!zipf_) return random.below(keys_);
  return mix64(zipf_->sample(random) + kGoldenGamma) % keys_;
}

}  // namespace tiara::apps::memcached
