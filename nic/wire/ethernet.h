// Frames on a network without connections, as the NIC takes them: Ethernet, IPv4, UDP, 22 bytes of ours, an invocation
// or a reply, and at most one page of its bytes. The headers are 64 bytes, so that all behind them is aligned.
//
//   offset  in the datagram
//        0  "TN", version 1, kind (1 request, 2 reply)
//        4  client u16
//        6  sequence u64
//       14  piece u16, pieces u16
//       18  bytes u32 of this piece
//       22  invocation or reply (frame.h)
//      150  bytes [piece * 4096, ...) of the payload, or of what was gathered
//
// A client numbers its requests. Number s takes slot s modulo the window, and may be sent when the answer of the slot's
// earlier number has come whole. What is not answered is sent again, all pieces of it, under the same number: the NIC
// runs it once and answers as often as it is asked.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "nic/wire/frame.h"

namespace tiara::nic::wire {

inline constexpr size_t kEthernetHeaderBytes = 64;  // Ethernet 14, IPv4 20, UDP 8, ours 22
inline constexpr size_t kDatagramHeaderBytes = 22;
inline constexpr size_t kPieceBytes = 4096;
inline constexpr size_t kMaxDatagramBytes = kDatagramHeaderBytes + kFrameBytes + kPieceBytes;
inline constexpr uint32_t kMaxPieces = 64;
static_assert(kMaxPieces * kPieceBytes == kMaxPayloadBytes && kMaxPayloadBytes == kMaxReplyBytes);

enum class PieceKind : uint8_t { kRequest = 1, kReply = 2 };

struct Piece {
  PieceKind kind = PieceKind::kRequest;
  uint16_t client = 0;
  uint64_t sequence = 0;
  uint16_t piece = 0, pieces = 1;
  std::array<std::byte, kFrameBytes> frame{};
  std::span<const std::byte> bytes;  // decode: into what was decoded
};

// An address of the network; the numbers' first byte on the wire is their top byte.
struct NetworkAddress {
  uint64_t mac = 0;  // 48 bits
  uint32_t ip = 0;
  uint16_t port = 0;
  friend bool operator==(const NetworkAddress&, const NetworkAddress&) = default;
};

constexpr uint32_t pieces_of(uint64_t bytes) {
  return bytes == 0 ? 1 : static_cast<uint32_t>((bytes + kPieceBytes - 1) / kPieceBytes);
}

std::vector<std::byte> encode_datagram(const Piece& piece);
// Whole frames, checksums included.
std::vector<std::byte> encode_ethernet(const NetworkAddress& from, const NetworkAddress& to, const Piece& piece);

enum class [[nodiscard]] PacketError : uint8_t { kForeign, kLength, kChecksum };
// The piece's bytes lie in `datagram`. Total.
std::expected<Piece, PacketError> decode_datagram(std::span<const std::byte> datagram);
// A frame to `to`; `from` says where it came from.
std::expected<Piece, PacketError> decode_ethernet(std::span<const std::byte> frame, const NetworkAddress& to,
                                                  NetworkAddress& from);

}  // namespace tiara::nic::wire
