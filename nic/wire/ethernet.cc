#include "nic/wire/ethernet.h"

#include <cstring>

namespace tiara::nic::wire {
namespace {

constexpr size_t kIp = 14, kUdp = 34, kOurs = 42;

void put_big(std::byte* at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
}
uint64_t get_big(const std::byte* at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint64_t>(at[i]);
  return value;
}
template <typename T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <typename T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// RFC 1071: the sum of big-endian words, a last odd byte being the high half of one.
uint32_t sum_of(std::span<const std::byte> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += static_cast<uint32_t>(get_big(bytes.data() + i, 2));
  if (bytes.size() % 2 != 0) sum += static_cast<uint32_t>(bytes.back()) << 8;
  return sum;
}
uint16_t folded(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
// Of a UDP datagram with its pseudo header: addresses, protocol, length.
uint16_t udp_sum(std::span<const std::byte> frame) {
  const auto udp = frame.subspan(kUdp);
  return folded(sum_of(udp, sum_of(frame.subspan(kIp + 12, 8), 17 + static_cast<uint32_t>(udp.size()))));
}

}  // namespace

std::vector<std::byte> encode_datagram(const Piece& piece) {
  std::vector<std::byte> out(kDatagramHeaderBytes + kFrameBytes + piece.bytes.size());
  std::byte* const at = out.data();
  std::memcpy(at, "TN\x01", 3);
  put(at + 3, static_cast<uint8_t>(piece.kind));
  put(at + 4, piece.client);
  put(at + 6, piece.sequence);
  put(at + 14, piece.piece);
  put(at + 16, piece.pieces);
  put(at + 18, static_cast<uint32_t>(piece.bytes.size()));
  std::memcpy(at + kDatagramHeaderBytes, piece.frame.data(), kFrameBytes);
  if (!piece.bytes.empty())
    std::memcpy(at + kDatagramHeaderBytes + kFrameBytes, piece.bytes.data(), piece.bytes.size());
  return out;
}

std::vector<std::byte> encode_ethernet(const NetworkAddress& from, const NetworkAddress& to, const Piece& piece) {
  const std::vector<std::byte> datagram = encode_datagram(piece);
  std::vector<std::byte> out(kOurs + datagram.size());
  std::byte* const at = out.data();
  put_big(at, to.mac, 6);
  put_big(at + 6, from.mac, 6);
  put_big(at + 12, 0x0800, 2);
  put_big(at + kIp, 0x45, 1);
  put_big(at + kIp + 2, out.size() - kIp, 2);
  put_big(at + kIp + 6, 0x4000, 2);  // do not fragment
  put_big(at + kIp + 8, 64 << 8 | 17, 2);
  put_big(at + kIp + 12, from.ip, 4);
  put_big(at + kIp + 16, to.ip, 4);
  put_big(at + kIp + 10, 0xffff & ~folded(sum_of({at + kIp, 20})), 2);
  put_big(at + kUdp, from.port, 2);
  put_big(at + kUdp + 2, to.port, 2);
  put_big(at + kUdp + 4, out.size() - kUdp, 2);
  std::memcpy(at + kOurs, datagram.data(), datagram.size());
  const uint16_t check = static_cast<uint16_t>(~udp_sum(out));
  put_big(at + kUdp + 6, check == 0 ? 0xffff : check, 2);
  return out;
}

std::expected<Piece, PacketError> decode_datagram(std::span<const std::byte> datagram) {
  if (datagram.size() < kDatagramHeaderBytes || std::memcmp(datagram.data(), "TN\x01", 3) != 0)
    return std::unexpected(PacketError::kForeign);
  const std::byte* const at = datagram.data();
  const auto kind = get<uint8_t>(at + 3);
  if (kind != 1 && kind != 2) return std::unexpected(PacketError::kForeign);
  const auto bytes = get<uint32_t>(at + 18);
  if (bytes > kPieceBytes || datagram.size() != kDatagramHeaderBytes + kFrameBytes + bytes)
    return std::unexpected(PacketError::kLength);
  Piece piece{static_cast<PieceKind>(kind), get<uint16_t>(at + 4), get<uint64_t>(at + 6), get<uint16_t>(at + 14),
              get<uint16_t>(at + 16), {}, datagram.subspan(kDatagramHeaderBytes + kFrameBytes)};
  std::memcpy(piece.frame.data(), at + kDatagramHeaderBytes, kFrameBytes);
  if (piece.pieces == 0 || piece.pieces > kMaxPieces || piece.piece >= piece.pieces)
    return std::unexpected(PacketError::kLength);
  return piece;
}

std::expected<Piece, PacketError> decode_ethernet(std::span<const std::byte> frame, const NetworkAddress& to,
                                                  NetworkAddress& from) {
  if (frame.size() < kOurs) return std::unexpected(PacketError::kForeign);
  const std::byte* const at = frame.data();
  if (get_big(at, 6) != to.mac || get_big(at + 12, 2) != 0x0800 || get_big(at + kIp, 1) != 0x45 ||
      (get_big(at + kIp + 6, 2) & 0xbfff) != 0 || get_big(at + kIp + 9, 1) != 17 ||
      get_big(at + kIp + 16, 4) != to.ip || get_big(at + kUdp + 2, 2) != to.port)
    return std::unexpected(PacketError::kForeign);
  if (get_big(at + kIp + 2, 2) != frame.size() - kIp || get_big(at + kUdp + 4, 2) != frame.size() - kUdp)
    return std::unexpected(PacketError::kLength);
  if (folded(sum_of({at + kIp, 20})) != 0xffff || get_big(at + kUdp + 6, 2) == 0 || udp_sum(frame) != 0xffff)
    return std::unexpected(PacketError::kChecksum);
  from = {get_big(at + 6, 6), static_cast<uint32_t>(get_big(at + kIp + 12, 4)),
          static_cast<uint16_t>(get_big(at + kUdp, 2))};
  return decode_datagram(frame.subspan(kOurs));
}

}  // namespace tiara::nic::wire
