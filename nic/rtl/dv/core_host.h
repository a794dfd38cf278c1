// The Verilated core and what stands around it in a test: it starts invocations on free contexts, answers requests
// after a random or fixed time and in any order, and builds replies. It also watches: a request that names memory
// outside its invocation's regions, an answer too many or a context freed twice ends the process.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "nic/engine/engine.h"
#include "nic/isa/instruction.h"
#include "nic/rtl/dv/core_pins.h"

namespace tiara::nic::rtl {

// How memory behaves. All random numbers come from one seed.
struct HostTiming {
  uint32_t min_latency = 1;          // cycles from the request to the answer
  uint32_t max_latency = 1;          // drawn evenly: answers overtake each other
  uint32_t busy_percent = 0;         // share of cycles in which no request is taken
  uint32_t silent_percent = 0;       // share of cycles in which no answer is given
  uint64_t seed = 1;
};

// One invocation. All memory is borrowed until `done` was called.
struct CoreJob {
  std::span<const Instruction> code;
  const RegionTable* regions = nullptr;
  std::span<const uint64_t> arguments;
  std::span<const std::byte> payload;
  std::span<std::byte> reply;
  RemotePort* remote = nullptr;
  uint32_t scratchpad_bytes = 0;
  uint64_t step_limit = UINT32_MAX;
  uint64_t byte_limit = UINT32_MAX;
  bool clears_registers = false;     // start from zeros, as the interpreter does
  bool stays_loaded = false;         // the code stays in the store for later jobs with the same span
  uint8_t tenant = 0;                // of the invocation
  uint8_t region_tenant = 0;         // of the entries that its regions get
  uint16_t cacheable = 0;            // regions whose words a table cache may keep, one bit each
  // Before an instruction, with its place in the code and the registers; then at the end.
  std::function<void(uint32_t pc, const std::array<uint64_t, 16>&)> begins;
  std::function<void(const Outcome&)> done;
};

class CoreHost {
 public:
  static constexpr uint32_t kStoreWords = 4096;

  explicit CoreHost(const HostTiming& timing, CorePins core = make_core_32());
  CoreHost(const CoreHost&) = delete;
  CoreHost& operator=(const CoreHost&) = delete;

  // False when no context or no room for the code is free; the job must live until it is done. Entries and code that
  // the core has already are not written again: a job like the last one starts in the next cycle.
  bool try_submit(CoreJob& job);
  bool is_idle() const { return running_count_ == 0; }
  void tick();
  uint64_t cycles() const { return cycle_; }
  uint64_t issued() const { return issued_; }  // instructions that began
  uint64_t hits() const { return hits_; }      // loads that a table cache answered
  void set_timing(const HostTiming& timing);

 private:
  struct Answer {
    uint64_t due;
    uint32_t context;
    uint8_t kind;
    uint8_t word;      // of a line
    uint64_t data;
    uint8_t fault;
    uint64_t order;    // words of one line stay in order
  };
  struct Running {
    CoreJob* job = nullptr;
    uint32_t base = 0;             // of its code in the store
    uint32_t next_beat = 0;        // of its start
    std::vector<uint8_t> beats;    // registers to write
    std::array<uint64_t, 16> registers{};
    Counts counts;
    uint64_t reply_bytes = 0;
    uint64_t remote_argument = 0;
    const std::byte* copy_from = nullptr;
    std::array<uint64_t, kResultRegisters> results{};
    bool has_request = false;
  };
  struct Request;

  struct Entry {
    uint64_t base, size;
    uint8_t permission, tenant;
    bool is_cacheable;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr uint32_t kNoRoom = UINT32_MAX;
  uint32_t place_code(const CoreJob& job);
  void write_entry(uint32_t index, uint64_t base, uint64_t size, uint8_t permission, uint8_t tenant,
                   bool is_cacheable = false);
  void write_store(uint32_t address, uint64_t word);
  void clock();
  void drive_input();
  void take_request();
  void perform(const Request& request);
  uint64_t answer_remote(Running& running, const Request& request, uint8_t& fault);
  void move_bytes(Running& running, std::byte* to, const std::byte* from, uint64_t length);
  std::byte* memory_of(Running& running, const Request& request);
  void finish(uint32_t context, const Request& request);
  void observe();
  uint64_t argument_of(const Running& running, uint8_t reg) const;
  [[noreturn]] void die(uint32_t context, const char* what) const;

  CorePins core_;
  HostTiming timing_;
  std::mt19937_64 random_;
  uint64_t cycle_ = 0;
  uint64_t issued_ = 0;
  uint64_t hits_ = 0;
  uint64_t order_ = 0;
  std::vector<Running> running_ = std::vector<Running>(core_.contexts);
  std::vector<std::optional<Entry>> entries_;                     // as the core has them
  std::map<const Instruction*, uint32_t> loaded_;                 // code that stays, and where
  uint32_t running_count_ = 0;
  std::vector<bool> store_used_ = std::vector<bool>(kStoreWords);
  std::vector<uint32_t> starting_;
  std::vector<Answer> answers_;
};

}  // namespace tiara::nic::rtl
