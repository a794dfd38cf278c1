#include "nic/rtl/rtl_engine.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <thread>

#include "nic/engine/dispatch.h"
#include "nic/wire/frame.h"
#include "runtime/base/check.h"

namespace tiara::nic::rtl {
namespace {

// The other end of a wire inside this process, which no frame of a network gets onto.
constexpr wire::NetworkAddress kClient{0x020000000002, 0x0a000002, 4792};
constexpr uint32_t kClientNumber = 0;
constexpr uint8_t kTenant = 1;  // network client n is tenant kTenant + n, so that no region is for two of them
constexpr size_t kClientOffset = 46;  // the client's number in a frame (nic/wire/ethernet.h)
constexpr uint32_t kLooks = 8;  // cycles in which nothing shows that ingress has a whole frame, and more
static_assert(NicEngine::kNetworkClients == NicModel::kClients - 1);
constexpr uint32_t kTicksATurn = 1000;  // a thread clocks the NIC for so long before others have a chance
uint32_t client_of(std::span<const std::byte> frame) {
  return static_cast<uint32_t>(frame[kClientOffset]) | static_cast<uint32_t>(frame[kClientOffset + 1]) << 8;
}

constexpr LoadKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};  // of a wire that nobody else reaches

}  // namespace

struct RtlEngine::Run {
  uint32_t slot = 0;
  uint64_t sequence = 0;
  Loaded* loaded = nullptr;
  Domain* domain = nullptr;
  uint32_t space = 0;
  RemotePort* remote = nullptr;
  std::span<std::byte> reply;
  uint64_t pieces = 0;  // of the reply that have come, a bit each
  bool is_done = false;
  Outcome outcome;
};

RtlEngine::RtlEngine(const HostTiming& timing, const wire::NetworkAddress& address, Caching caching)
    : address_(address), caching_(caching), nic_(timing, address, kKey) {
  for (uint32_t slot = 0; slot < NicModel::kWindow; ++slot) sequences_[slot] = slot;
  TIARA_CHECK(nic_.open_client(kClientNumber, kClient, kTenant));
  nic_.remote = [this](uint32_t slot) -> RemotePort* {
    return slot < running_.size() && running_[slot] != nullptr ? running_[slot]->remote : nullptr;
  };
}

RtlEngine::~RtlEngine() = default;

NicFigures RtlEngine::figures() {
  const std::lock_guard lock(mutex_);
  return nic_.figures();
}

uint64_t RtlEngine::cycles() {
  const std::lock_guard lock(mutex_);
  return nic_.cycles();
}

// --- clients of a network ---

Result<Admission> RtlEngine::admit(const wire::NetworkAddress& client, std::span<const Grant> grants) {
  const std::lock_guard lock(mutex_);
  if (admitted_ == kNetworkClients)
    return fail(ErrorCode::kResourceExhausted, "the NIC has no more than " + std::to_string(kNetworkClients) +
                                                   " clients of a network");
  Admission admission;
  admission.client = admitted_ + 1;
  const auto tenant = static_cast<uint8_t>(kTenant + admission.client);
  admission.tenant = tenant;
  // Held for good: by uses that nobody ends. The space has the number of its first domain, where nobody else binds
  // these operators, because a domain is of one tenant.
  for (const Grant& grant : grants) {
    Loaded* const loaded = place(*grant.program);
    uint32_t number = 0;
    const uint32_t cacheable = cacheable_regions(*grant.program);
    Domain* const domain = loaded == nullptr ? nullptr : bind_regions(grant.regions, cacheable, tenant, number);
    if (domain == nullptr)
      return fail(ErrorCode::kResourceExhausted, "the NIC has no room for an operator, or for its regions");
    ++loaded->uses;
    ++domain->uses;
    domain->used_at = ++clock_;
    has_cacheable_admitted_ |= cacheable != 0;
    if (admission.operators.empty()) admission.space = number;
    nic_.bind(loaded->number, admission.space, number);
    admission.operators.push_back(loaded->number);
  }
  TIARA_CHECK(nic_.open_client(admission.client, client, tenant));
  ++admitted_;
  return admission;
}

bool RtlEngine::is_busy_for_network() {
  return nic_.has_unsent() || nic_.has_frame() || (nic_.busy_clients() & ~(1u << kClientNumber)) != 0;
}

void RtlEngine::exchange(std::span<const std::vector<std::byte>> in, std::vector<std::vector<std::byte>>& out) {
  uint32_t quiet = 0;
  for (bool is_first = true; quiet < kLooks; is_first = false) {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      // The engine's own client is none of the network's, whoever claims it there.
      if (is_first && has_cacheable_admitted_) nic_.write(HostRegister::kFlush, 0);
      if (is_first)
        for (const auto& frame : in)
          if (frame.size() >= wire::kEthernetHeaderBytes && client_of(frame) != kClientNumber) nic_.send(frame);
      for (uint32_t i = 0; i < kTicksATurn && quiet < kLooks; ++i) {
        nic_.tick();
        receive();
        quiet = is_busy_for_network() ? 0 : quiet + 1;
      }
      TIARA_CHECK(!nic_.has_bus_error());
      std::move(outgoing_.begin(), outgoing_.end(), std::back_inserter(out));
      outgoing_.clear();
    }
    if (waiting_.load(std::memory_order_relaxed) != 0) std::this_thread::yield();
  }
}

NetworkFigures RtlEngine::network_figures() {
  const NicFigures all = figures();
  return {all.run, all.refused, all.replayed,
          all.duplicates + all.stale + all.malformed + all.strangers + all.full + all.foreign + all.length +
              all.checksum};
}

// --- operators ---

uint32_t RtlEngine::find_blocks(uint32_t blocks) const {
  uint32_t run = 0;
  for (uint32_t block = 0; block < blocks_.size(); ++block) {
    run = blocks_[block] ? 0 : run + 1;
    if (run == blocks) return block + 1 - blocks;
  }
  return UINT32_MAX;
}

// Makes room: every operator that nothing runs of leaves.
bool RtlEngine::forget_idle() {
  bool has_any = false;
  for (auto each = loaded_.begin(); each != loaded_.end();) {
    Loaded& loaded = *each->second;
    if (loaded.uses != 0 || !nic_.unload(loaded.number)) {
      ++each;
      continue;
    }
    numbers_[loaded.number] = false;
    std::fill_n(blocks_.begin() + loaded.block, loaded.blocks, false);
    each = loaded_.erase(each);
    has_any = true;
  }
  return has_any;
}

// Null: no room while others run.
RtlEngine::Loaded* RtlEngine::place(const VerifiedProgram& program) {
  if (const auto found = loaded_.find(&program.program()); found != loaded_.end()) return found->second.get();
  const auto blocks = static_cast<uint32_t>((program.program().code.size() + kStoreBlock - 1) / kStoreBlock);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto free = std::find(numbers_.begin(), numbers_.end(), false);
    const uint32_t block = find_blocks(blocks);
    if (free == numbers_.end() || block == UINT32_MAX) {
      if (!forget_idle()) return nullptr;
      continue;
    }
    const auto number = static_cast<uint32_t>(free - numbers_.begin());
    TIARA_CHECK(nic_.load(make_image(program, number, block, kKey), number));
    *free = true;
    std::fill_n(blocks_.begin() + block, blocks, true);
    return (loaded_[&program.program()] = std::make_unique<Loaded>(Loaded{program, number, block, blocks})).get();
  }
  return nullptr;
}

Result<void> RtlEngine::prepare(const VerifiedProgram& program) {
  if (program.program().code.size() > NicModel::kStoreBlocks * kStoreBlock)
    return fail(ErrorCode::kResourceExhausted, "the program is larger than the NIC's store");
  const std::lock_guard lock(mutex_);
  place(program);  // no room: at its first run
  return {};
}

// --- regions ---

uint32_t RtlEngine::cacheable_regions(const VerifiedProgram& program) const {
  if (caching_ == Caching::kAll) return UINT32_MAX;
  uint32_t regions = 0;
  const auto& declared = program.program().regions;
  for (size_t i = 0; i < declared.size(); ++i) regions |= uint32_t{declared[i].is_cacheable} << i;
  return regions;
}

RtlEngine::Domain* RtlEngine::bind_regions(const RegionTable& regions, uint32_t cacheable, uint8_t tenant,
                                           uint32_t& number) {
  const auto equals = [](const Region& a, const Region& b) {
    return a.base == b.base && a.size == b.size && a.permission == b.permission;
  };
  Domain* oldest = nullptr;
  for (Domain& each : domains_) {
    if (each.used_at != 0 && each.tenant == tenant && each.cacheable == cacheable &&
        std::equal(regions.begin(), regions.end(), each.regions.begin(), equals)) {
      number = static_cast<uint32_t>(&each - domains_.data());
      return &each;
    }
    if (each.uses == 0 && (oldest == nullptr || each.used_at < oldest->used_at)) oldest = &each;
  }
  if (oldest == nullptr) return nullptr;
  number = static_cast<uint32_t>(oldest - domains_.data());
  for (const NicModel::RangeId range : oldest->ranges) nic_.close_range(range);
  oldest->ranges.clear();
  oldest->regions = regions;
  oldest->cacheable = cacheable;
  oldest->tenant = tenant;
  for (uint32_t region = 0; region < kMaxRegions; ++region) {
    const Region& each = regions[region];
    nic_.set_region(number, region, each, tenant, (cacheable >> region & 1) != 0);
    if (each.size == 0) continue;
    oldest->ranges.push_back(nic_.open_range(each.base, each.size));
  }
  return oldest;
}

// --- runs ---

bool RtlEngine::try_begin(Run& run, const VerifiedProgram& program, const Invocation& invocation) {
  const auto slot = std::find(running_.begin(), running_.end(), nullptr);
  if (slot == running_.end()) return false;
  run.loaded = place(program);
  if (run.loaded == nullptr) return false;
  const uint32_t cacheable = cacheable_regions(program);
  run.domain = bind_regions(invocation.regions, cacheable, kTenant, run.space);
  if (run.domain == nullptr) return false;
  // The host may have written since an earlier run: what that left in the cache goes.
  if (cacheable != 0) nic_.write(HostRegister::kFlush, 0);
  ++run.loaded->uses;
  ++run.domain->uses;
  run.domain->used_at = ++clock_;
  run.slot = static_cast<uint32_t>(slot - running_.begin());
  run.sequence = sequences_[run.slot];
  sequences_[run.slot] += NicModel::kWindow;
  *slot = &run;
  nic_.bind(run.loaded->number, run.space, run.space);
  send(run, invocation);
  return true;
}

void RtlEngine::send(Run& run, const Invocation& invocation) {
  wire::InvocationFrame frame;
  frame.request_id = run.sequence;
  frame.tenant = {kTenant};
  frame.operation = {run.loaded->number};
  frame.space = {run.space};
  frame.payload_bytes = static_cast<uint32_t>(invocation.payload.size());
  frame.reply_room = static_cast<uint32_t>(run.reply.size());
  frame.argument_count = static_cast<uint32_t>(invocation.arguments.size());
  std::copy(invocation.arguments.begin(), invocation.arguments.end(), frame.arguments.begin());
  wire::Piece piece;
  piece.client = kClientNumber;
  piece.sequence = run.sequence;
  piece.pieces = static_cast<uint16_t>(wire::pieces_of(frame.payload_bytes));
  wire::encode(frame, piece.frame);
  for (; piece.piece < piece.pieces; ++piece.piece) {
    const auto rest = invocation.payload.subspan(piece.piece * wire::kPieceBytes);
    piece.bytes = rest.first(std::min(rest.size(), wire::kPieceBytes));
    nic_.send(wire::encode_ethernet(kClient, address_, piece));
  }
}

void RtlEngine::receive() {
  while (auto bytes = nic_.receive()) {
    if (client_of(*bytes) == kClientNumber) receive_own(*bytes);
    else outgoing_.push_back(std::move(*bytes));
  }
}

// Nothing is lost on this wire, so everything that comes must be in order.
void RtlEngine::receive_own(std::span<const std::byte> bytes) {
  wire::NetworkAddress from;
  const auto piece = wire::decode_ethernet(bytes, kClient, from);
  TIARA_CHECK(piece && from == address_ && piece->kind == wire::PieceKind::kReply && piece->client == kClientNumber);
  Run* const run = running_[piece->sequence % NicModel::kWindow];
  TIARA_CHECK(run != nullptr && run->sequence == piece->sequence && !run->is_done);
  wire::ReplyFrame reply;
  TIARA_CHECK(wire::decode(piece->frame, reply) == wire::DecodeStatus::kOk && reply.request_id == run->sequence);
  const uint64_t at = piece->piece * wire::kPieceBytes;
  TIARA_CHECK(reply.outcome.reply_bytes <= run->reply.size());
  TIARA_CHECK(at + piece->bytes.size() <= reply.outcome.reply_bytes);
  if (!piece->bytes.empty()) std::memcpy(run->reply.data() + at, piece->bytes.data(), piece->bytes.size());
  run->pieces |= uint64_t{1} << piece->piece;
  run->outcome = reply.outcome;
  run->is_done = static_cast<uint32_t>(__builtin_popcountll(run->pieces)) == piece->pieces;
}

void RtlEngine::end(Run& run) {
  running_[run.slot] = nullptr;
  --run.loaded->uses;
  --run.domain->uses;
}

Outcome RtlEngine::run(const VerifiedProgram& program, const Invocation& invocation) noexcept {
  const Refusal refusal = check_contract(program.program(), invocation);
  // The NIC checks arguments itself; what a frame cannot carry, and regions, are the host's to refuse.
  if (refusal == Refusal::kRegionUnbound || refusal == Refusal::kPayloadSize) return refused(refusal);
  if (invocation.arguments.size() > kMaxArguments) return refused(Refusal::kArgumentCount);
  if (invocation.payload.size() > kMaxPayloadBytes) return refused(Refusal::kPayloadSize);
  Run run;
  run.reply = invocation.reply.first(std::min<size_t>(invocation.reply.size(), kMaxReplyBytes));
  run.remote = invocation.remote;
  for (bool has_begun = false;;) {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      if (!has_begun) has_begun = try_begin(run, program, invocation);
      for (uint32_t i = 0; i < kTicksATurn && !run.is_done; ++i) {
        nic_.tick();
        receive();
      }
      TIARA_CHECK(!nic_.has_bus_error());
      if (run.is_done) {
        end(run);
        return run.outcome;
      }
    }
    // Only when somebody waits: on a busy machine a yield is long. Relaxed: a hint.
    if (waiting_.load(std::memory_order_relaxed) != 0) std::this_thread::yield();
  }
}

}  // namespace tiara::nic::rtl
