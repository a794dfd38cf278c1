// The Verilated NIC with memory behind its bus: the process's own, as far as ranges were opened. Reads and writes
// take between two latencies and come back in any order that AXI allows. Anything else that the NIC asks for is
// answered with a bus error, after which it sends nothing any more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "nic/engine/remote_port.h"
#include "nic/rtl/dv/core_host.h"
#include "nic/rtl/operator_image.h"
#include "nic/wire/ethernet.h"

class Vtiara_nic;

namespace tiara::nic::rtl {

// The host's registers (nic/rtl/tiara_nic.sv).
enum class HostRegister : uint8_t {
  kKeyLow = 0x00, kKeyHigh = 0x01, kBegin = 0x02, kWord = 0x03, kTag = 0x04, kUnload = 0x05, kReclaim = 0x06,
  kEntryBase = 0x08, kEntrySize = 0x09, kEntry = 0x0a, kBind = 0x0c, kClientMac = 0x10, kClientAddress = 0x11,
  kClient = 0x12, kMac = 0x14, kAddress = 0x15, kBuffers = 0x16, kBounce = 0x17, kFlush = 0x18,
};

// What the NIC counts, in the order of its registers.
struct NicFigures {
  uint32_t run, refused, replayed, duplicates, stale, malformed, strangers, full, foreign, length, checksum, sent, done,
      hits;
};

class NicModel {
 public:
  // The configuration that meson builds.
  static constexpr uint32_t kOperators = 32, kSpaces = 32, kDomains = 32, kClients = 8, kWindow = 32;
  static constexpr uint32_t kStoreBlocks = 4096 / kStoreBlock;
  static constexpr uint64_t kSlotBytes = kMaxPayloadBytes + kMaxReplyBytes;
  static constexpr uint64_t kBufferBytes = kClients * kWindow * kSlotBytes;

  NicModel(const HostTiming& timing, const wire::NetworkAddress& address, const LoadKey& key);
  ~NicModel();
  NicModel(const NicModel&) = delete;
  NicModel& operator=(const NicModel&) = delete;

  void tick();
  uint64_t cycles() const { return cycle_; }

  // --- frames ---
  void send(std::vector<std::byte> frame) { in_.push_back(std::move(frame)); }
  bool has_unsent() const { return !in_.empty(); }
  std::optional<std::vector<std::byte>> receive();

  // --- the host ---
  void write(HostRegister at, uint64_t value);  // ticks until it is taken
  uint64_t read(uint8_t at);
  // False when the NIC refuses it.
  bool load(const OperatorImage& image, uint32_t number);
  bool unload(uint32_t number);
  void set_region(uint32_t domain, uint32_t region, const Region& bound, uint8_t tenant, bool is_cacheable = false);
  void bind(uint32_t number, uint32_t space, uint32_t domain, bool is_valid = true);
  // False while requests of an earlier client of that number run.
  bool open_client(uint32_t client, const wire::NetworkAddress& from, uint8_t tenant, uint8_t fair_class = 0);
  void close_client(uint32_t client);
  NicFigures figures();
  bool has_bus_error() { return (read(0) & 4) != 0; }
  bool has_frame() { return (read(0) & 8) != 0; }  // one that came is still being looked at
  uint32_t busy_clients() { return static_cast<uint32_t>(read(1)); }  // requests run or are being answered: a bit each
  std::byte* reply_of(uint32_t slot) { return buffers_ + slot * kSlotBytes + kMaxPayloadBytes; }

  // Memory that the bus may reach. Lines are whole: ranges are widened to 64 bytes.
  using RangeId = uint64_t;
  RangeId open_range(const std::byte* base, uint64_t size);
  void close_range(RangeId range);

  // Who answers a remote request of a slot; none: kRemoteUnavailable.
  std::function<RemotePort*(uint32_t slot)> remote;

 private:
  struct Read {
    uint64_t due, address;
    uint32_t id;
    bool is_exclusive;
  };
  struct Write {
    uint64_t due, address;
    uint32_t id;
    std::array<uint32_t, 16> data;
    uint64_t strobe;
    bool is_exclusive;
  };
  struct Exclusive {  // what the last exclusive read saw: the NIC has one at a time
    uint64_t address = 0;
    std::array<uint64_t, 8> words{};
  };
  struct Range {
    RangeId id;
    uint64_t first, last;
  };
  bool is_open(uint64_t address) const;
  uint64_t due();
  template <typename Pending>
  size_t choose(const std::deque<Pending>& pending);
  void drive_frames();
  void drive_bus();
  void take_outputs();
  void perform(const Write& write);
  bool perform_exclusive(const Write& write);
  void answer_remote();
  void clock();

  std::unique_ptr<Vtiara_nic> nic_;
  HostTiming timing_;
  std::mt19937_64 random_;
  wire::NetworkAddress address_;
  uint64_t cycle_ = 0;
  std::deque<std::vector<std::byte>> in_;
  size_t in_at_ = 0;
  bool is_inside_ = false;
  std::vector<std::byte> out_;
  std::deque<std::vector<std::byte>> received_;
  std::deque<Read> reads_;
  std::deque<Write> writes_;
  Exclusive exclusive_;
  std::optional<Write> address_half_, data_half_;
  struct RemoteAnswer {
    uint64_t data;
    Fault fault;
  };
  std::optional<RemoteAnswer> remote_answer_;  // given until it is taken
  size_t read_chosen_ = SIZE_MAX, write_chosen_ = SIZE_MAX;
  std::vector<Range> ranges_;
  RangeId next_range_ = 0;
  std::byte* buffers_ = nullptr;
};

}  // namespace tiara::nic::rtl
