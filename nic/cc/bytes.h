// Reading of untrusted little-endian bytes: every read is checked, nothing points outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tiara::nic::cc {

using Bytes = std::span<const std::byte>;

// [at, at + length) of `in`, when it is all there.
inline std::optional<Bytes> slice(Bytes in, uint64_t at, uint64_t length) {
  if (at > in.size() || length > in.size() - at) return std::nullopt;
  return in.subspan(at, length);
}

// The T at `at`; the caller has checked that it is inside (a bug otherwise: zero).
template <typename T>
T number_at(Bytes in, uint64_t at) {
  const auto bytes = slice(in, at, sizeof(T));
  uint64_t value = 0;
  if (bytes)
    for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<uint64_t>((*bytes)[i]) << (8 * i);
  return static_cast<T>(value);
}

// The string that starts at `at` and ends with a NUL inside `in`.
inline std::optional<std::string_view> string_at(Bytes in, uint64_t at) {
  if (at >= in.size()) return std::nullopt;
  const std::string_view rest(reinterpret_cast<const char*>(in.data()) + at, in.size() - at);
  const size_t end = rest.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return rest.substr(0, end);
}

}  // namespace tiara::nic::cc
