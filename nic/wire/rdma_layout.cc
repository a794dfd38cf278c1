#include "nic/wire/rdma_layout.h"

#include <cstring>

namespace tiara::nic::wire {
namespace {

constexpr uint32_t kRdmaMagic = 0x44524954;  // "TIRD"
constexpr uint32_t kRdmaVersion = 1;         // bumped with every change of what travels over RDMA

struct RawHello {
  uint32_t magic, version, slots, slab_key;
  uint64_t slab_address, slab_bytes;
};
static_assert(sizeof(RawHello) == kRdmaHelloBytes);

struct RawWelcome {
  uint32_t magic, version, slots, zero;
};
static_assert(sizeof(RawWelcome) == kRdmaWelcomeBytes);

struct RawPool {
  uint64_t address, bytes;
  uint32_t key, zero;
};
static_assert(sizeof(RawPool) == kRdmaPoolBytes);

template <typename Raw>
DecodeStatus take(std::span<const std::byte> bytes, Raw& raw) noexcept {
  if (bytes.size() < sizeof raw) return DecodeStatus::kBadField;
  std::memcpy(&raw, bytes.data(), sizeof raw);
  if (raw.magic != kRdmaMagic) return DecodeStatus::kBadMagic;
  return raw.version == kRdmaVersion ? DecodeStatus::kOk : DecodeStatus::kBadVersion;
}

bool is_slot_count(uint32_t slots) noexcept { return slots >= kMinSlots && slots <= kMaxSlots; }

}  // namespace

void encode(const RdmaHello& hello, std::span<std::byte, kRdmaHelloBytes> out) noexcept {
  const RawHello raw{kRdmaMagic, kRdmaVersion, hello.slots, hello.slab_key, hello.slab_address, hello.slab_bytes};
  std::memcpy(out.data(), &raw, sizeof raw);
}

DecodeStatus decode(std::span<const std::byte> bytes, RdmaHello& hello) noexcept {
  RawHello raw;
  if (const DecodeStatus status = take(bytes, raw); status != DecodeStatus::kOk) return status;
  if (!is_slot_count(raw.slots) || raw.slab_bytes != rdma_slab_bytes(raw.slots) ||
      raw.slab_address > UINT64_MAX - raw.slab_bytes)
    return DecodeStatus::kBadField;
  hello = {raw.slots, raw.slab_key, raw.slab_address, raw.slab_bytes};
  return DecodeStatus::kOk;
}

void encode(const RdmaWelcome& welcome, std::span<std::byte, kRdmaWelcomeBytes> out) noexcept {
  const RawWelcome raw{kRdmaMagic, kRdmaVersion, welcome.slots, 0};
  std::memcpy(out.data(), &raw, sizeof raw);
}

DecodeStatus decode(std::span<const std::byte> bytes, RdmaWelcome& welcome) noexcept {
  RawWelcome raw;
  if (const DecodeStatus status = take(bytes, raw); status != DecodeStatus::kOk) return status;
  if (!is_slot_count(raw.slots) || raw.zero != 0) return DecodeStatus::kBadField;
  welcome = {raw.slots};
  return DecodeStatus::kOk;
}

void encode(const RdmaPool& pool, std::span<std::byte, kRdmaPoolBytes> out) noexcept {
  const RawPool raw{pool.address, pool.bytes, pool.key, 0};
  std::memcpy(out.data(), &raw, sizeof raw);
}

DecodeStatus decode(std::span<const std::byte, kRdmaPoolBytes> bytes, RdmaPool& pool) noexcept {
  RawPool raw;
  std::memcpy(&raw, bytes.data(), sizeof raw);
  if (raw.zero != 0 || raw.address > UINT64_MAX - raw.bytes) return DecodeStatus::kBadField;
  pool = {raw.address, raw.bytes, raw.key};
  return DecodeStatus::kOk;
}

}  // namespace tiara::nic::wire
