// The whole NIC as an engine: each run is a request that goes into the Verilated NIC as Ethernet frames, and a reply
// that comes out of it. The same Outcome, memory and reply as from the interpreter, some ten thousand times slower.
//
// Runs of several threads are in flight at the same time; each thread clocks the NIC in turn until its answer is
// there. Other than the engines for production this one locks and allocates in run(), so it never serves a program's
// own faults: only `tiara node --engine rtl` and tests have it.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "nic/rtl/dv/nic_model.h"
#include "nic/rtl/make_engine.h"

namespace tiara::nic::rtl {

// Memory that answers after twenty cycles, in order.
inline constexpr HostTiming kNodeTiming{20, 20, 0, 0, 1};

class RtlEngine final : public NicEngine {
 public:
  // What the NIC's table cache may keep: regions that the program calls cacheable, or, for tests, all of them.
  enum class Caching : uint8_t { kAsHinted, kAll };
  explicit RtlEngine(const HostTiming& timing = kNodeTiming, const wire::NetworkAddress& address = kNicAddress,
                     Caching caching = Caching::kAsHinted);
  ~RtlEngine() override;

  // kResourceExhausted when the program is larger than the NIC's program store.
  Result<void> prepare(const VerifiedProgram& program) override;
  Outcome run(const VerifiedProgram& program, const Invocation& invocation) noexcept override;

  Result<Admission> admit(const wire::NetworkAddress& client, std::span<const Grant> grants) override;
  void exchange(std::span<const std::vector<std::byte>> in, std::vector<std::vector<std::byte>>& out) override;
  NetworkFigures network_figures() override;

  NicFigures figures();
  uint64_t cycles();

 private:
  struct Run;
  struct Loaded {
    VerifiedProgram program;  // keeps the address that names it
    uint32_t number, block, blocks;
    uint32_t uses = 0;        // runs under way
  };
  struct Domain {
    RegionTable regions{};
    uint32_t cacheable = 0;   // a bit each
    uint8_t tenant = 0;
    uint32_t uses = 0;
    uint64_t used_at = 0;
    std::vector<NicModel::RangeId> ranges;
  };

  // All of these hold mutex_.
  Loaded* place(const VerifiedProgram& program);
  uint32_t find_blocks(uint32_t blocks) const;
  bool forget_idle();
  Domain* bind_regions(const RegionTable& regions, uint32_t cacheable, uint8_t tenant, uint32_t& number);
  uint32_t cacheable_regions(const VerifiedProgram& program) const;
  bool try_begin(Run& run, const VerifiedProgram& program, const Invocation& invocation);
  void send(Run& run, const Invocation& invocation);
  void receive();
  void receive_own(std::span<const std::byte> bytes);
  void end(Run& run);
  bool is_busy_for_network();

  const wire::NetworkAddress address_;
  const Caching caching_;
  std::atomic<uint32_t> waiting_{0};  // threads that want mutex_
  std::mutex mutex_;
  NicModel nic_;
  std::map<const Program*, std::unique_ptr<Loaded>> loaded_;
  std::array<bool, NicModel::kOperators> numbers_{};
  std::array<bool, NicModel::kStoreBlocks> blocks_{};
  std::array<Domain, NicModel::kDomains> domains_{};
  std::array<Run*, NicModel::kWindow> running_{};
  std::array<uint64_t, NicModel::kWindow> sequences_{};  // of the slot's next request
  uint64_t clock_ = 0;
  bool has_cacheable_admitted_ = false;
  uint32_t admitted_ = 0;                        // network clients: numbers 1 to admitted_
  std::vector<std::vector<std::byte>> outgoing_;  // frames to them
};

}  // namespace tiara::nic::rtl
