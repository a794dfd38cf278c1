// A client of the NIC over an ordinary UDP socket: many requests in flight, what is not answered is sent again under
// its number until it is.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "nic/transport/channel.h"
#include "nic/wire/ethernet.h"

namespace tiara::nic::rtl {

class VethClient {
 public:
  static constexpr uint32_t kWindow = 32;  // slots that the NIC keeps for a client

  // `socket` is connected to the NIC, and stays the caller's.
  VethClient(int socket, uint16_t client, TenantId tenant) : socket_(socket), client_(client), tenant_(tenant) {
    for (uint32_t slot = 0; slot < kWindow; ++slot) slots_[slot].sequence = slot;
  }

  // From now on so many datagrams of a hundred are lost in each direction, and as many come twice.
  void lose(uint64_t percent, uint64_t seed) {
    loss_ = percent;
    random_.seed(seed);
  }
  // The next request's first datagram and the next reply that comes are lost too.
  void lose_next() { is_next_lost_ = {true, true}; }

  struct Answer {
    Outcome outcome;
    std::vector<std::byte> reply;
  };

  // The slot that carries it; none when all are taken.
  std::optional<uint32_t> post(const Request& request, uint32_t reply_room);
  // Waits until the slot is answered; false when nothing comes for `patience`.
  bool wait(uint32_t slot, std::chrono::seconds patience);
  Answer take(uint32_t slot);

  uint64_t requests() const { return requests_; }
  uint64_t sent_again() const { return sent_again_; }
  uint64_t lost() const { return lost_; }
  uint64_t doubled() const { return doubled_; }

 private:
  struct Slot {
    bool is_taken = false, is_answered = false;
    uint64_t sequence = 0;
    std::vector<std::vector<std::byte>> datagrams;  // of the request
    std::chrono::steady_clock::time_point sent_at;
    std::chrono::milliseconds resend_after{};
    size_t first_piece = 0;  // of the next copy
    uint64_t pieces = 0;  // of the reply that have come
    Answer answer;
  };
  enum Direction : uint8_t { kOut, kIn };
  uint64_t copies(Direction direction);  // how often a datagram arrives
  void send(Slot& slot);
  void receive(std::span<const std::byte> datagram);

  int socket_;
  uint16_t client_;
  TenantId tenant_;
  std::array<Slot, kWindow> slots_;
  uint64_t requests_ = 0, sent_again_ = 0, lost_ = 0, doubled_ = 0, loss_ = 0;
  std::array<bool, 2> is_next_lost_{};
  std::mt19937_64 random_;
};

}  // namespace tiara::nic::rtl
