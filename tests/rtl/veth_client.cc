#include "tests/rtl/veth_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "nic/transport/request_frame.h"
#include "runtime/base/check.h"

namespace tiara::nic::rtl {
namespace {

// Too short only costs a copy that the NIC drops; twice as long after each, so that a slow machine is not flooded.
constexpr std::chrono::milliseconds kResendAfter{100}, kLongest{2000};

}  // namespace

std::optional<uint32_t> VethClient::post(const Request& request, uint32_t reply_room) {
  const auto free = std::find_if(slots_.begin(), slots_.end(), [](const Slot& each) { return !each.is_taken; });
  if (free == slots_.end()) return std::nullopt;
  Slot& slot = *free;
  wire::InvocationFrame frame;
  TIARA_CHECK(!make_frame(request, reply_room, slot.sequence, tenant_, frame));
  std::vector<std::byte> payload(frame.payload_bytes);
  copy_payload(request, payload.data());
  wire::Piece piece;
  piece.client = client_;
  piece.sequence = slot.sequence;
  piece.pieces = static_cast<uint16_t>(wire::pieces_of(payload.size()));
  wire::encode(frame, piece.frame);
  slot.datagrams.clear();
  for (; piece.piece < piece.pieces; ++piece.piece) {
    const auto rest = std::span<const std::byte>(payload).subspan(piece.piece * wire::kPieceBytes);
    piece.bytes = rest.first(std::min(rest.size(), wire::kPieceBytes));
    slot.datagrams.push_back(wire::encode_datagram(piece));
  }
  slot.is_taken = true;
  slot.is_answered = false;
  slot.pieces = 0;
  slot.answer = {};
  slot.resend_after = kResendAfter;
  ++requests_;
  send(slot);
  return static_cast<uint32_t>(free - slots_.begin());
}

uint64_t VethClient::copies(Direction direction) {
  if (std::exchange(is_next_lost_[direction], false)) return ++lost_, 0;
  if (loss_ == 0) return 1;
  const uint64_t draw = random_() % 100;
  if (draw < loss_) return ++lost_, 0;
  if (draw < 2 * loss_) return ++doubled_, 2;
  return 1;
}

// A full queue of the device loses the datagram, as the network may: it is sent again.
void VethClient::send(Slot& slot) {
  // Each time from another piece on, so that a queue too short for all of them does not lose the same ones again.
  for (size_t i = 0; i < slot.datagrams.size(); ++i) {
    const auto& each = slot.datagrams[(i + slot.first_piece) % slot.datagrams.size()];
    for (uint64_t times = copies(kOut); times > 0; --times)
      static_cast<void>(::send(socket_, each.data(), each.size(), MSG_DONTWAIT));
  }
  slot.first_piece += 17;
  slot.sent_at = std::chrono::steady_clock::now();
}

void VethClient::receive(std::span<const std::byte> datagram) {
  const auto piece = wire::decode_datagram(datagram);
  if (!piece || piece->kind != wire::PieceKind::kReply || piece->client != client_) return;
  Slot& slot = slots_[piece->sequence % kWindow];
  if (!slot.is_taken || slot.is_answered || slot.sequence != piece->sequence) return;  // of an earlier copy
  wire::ReplyFrame reply;
  if (wire::decode(piece->frame, reply) != wire::DecodeStatus::kOk) return;
  slot.answer.outcome = reply.outcome;
  slot.answer.reply.resize(reply.outcome.reply_bytes);
  const uint64_t at = piece->piece * wire::kPieceBytes;
  TIARA_CHECK(at + piece->bytes.size() <= slot.answer.reply.size());
  if (!piece->bytes.empty()) std::memcpy(slot.answer.reply.data() + at, piece->bytes.data(), piece->bytes.size());
  slot.pieces |= uint64_t{1} << piece->piece;
  slot.is_answered = std::popcount(slot.pieces) == piece->pieces;
}

bool VethClient::wait(uint32_t number, std::chrono::seconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  std::array<std::byte, wire::kMaxDatagramBytes + 1> buffer;
  while (!slots_[number].is_answered) {
    const auto now = std::chrono::steady_clock::now();
    if (now > until) return false;
    pollfd readable{socket_, POLLIN, 0};
    poll(&readable, 1, static_cast<int>(kResendAfter.count()));
    for (ssize_t got; (got = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT)) >= 0;)
      for (uint64_t times = copies(kIn); times > 0; --times) receive(std::span(buffer).first(static_cast<size_t>(got)));
    for (Slot& slot : slots_) {
      if (!slot.is_taken || slot.is_answered) continue;
      if (std::chrono::steady_clock::now() - slot.sent_at < slot.resend_after) continue;
      slot.resend_after = std::min(2 * slot.resend_after, kLongest);
      send(slot);
      ++sent_again_;
    }
  }
  return true;
}

VethClient::Answer VethClient::take(uint32_t number) {
  Slot& slot = slots_[number];
  TIARA_CHECK(slot.is_taken && slot.is_answered);
  slot.is_taken = false;
  slot.sequence += kWindow;
  return std::move(slot.answer);
}

}  // namespace tiara::nic::rtl
