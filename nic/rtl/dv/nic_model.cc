#include "nic/rtl/dv/nic_model.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "nic/rtl/microcode.h"
#include "runtime/base/check.h"
#include "tiara_nic_model.h"

namespace tiara::nic::rtl {
namespace {

constexpr uint64_t kLine = 64;
constexpr uint8_t kExclusiveOkay = 1;  // EXOKAY
constexpr size_t kMappedBytes = NicModel::kBufferBytes + kPageSize;  // slots, and the buffer for copies

}  // namespace

NicModel::NicModel(const HostTiming& timing, const wire::NetworkAddress& address, const LoadKey& key)
    : nic_(new Vtiara_nic), timing_(timing), random_(timing.seed), address_(address) {
  void* const mapped = mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1, 0);
  TIARA_CHECK(mapped != MAP_FAILED);
  buffers_ = static_cast<std::byte*>(mapped);
  open_range(buffers_, kMappedBytes);
  nic_->rst_ni = 0;
  for (int i = 0; i < 4; ++i) clock();
  nic_->rst_ni = 1;
  write(HostRegister::kKeyLow, key[0]);
  write(HostRegister::kKeyHigh, key[1]);
  write(HostRegister::kMac, address.mac);
  write(HostRegister::kAddress, uint64_t{address.port} << 32 | address.ip);
  write(HostRegister::kBuffers, reinterpret_cast<uint64_t>(buffers_));
  write(HostRegister::kBounce, reinterpret_cast<uint64_t>(buffers_) + kBufferBytes);
}

NicModel::~NicModel() {
  nic_->final();
  munmap(buffers_, kMappedBytes);
}

void NicModel::clock() {
  nic_->clk_i = 1;
  nic_->eval();
  nic_->clk_i = 0;
  nic_->eval();
}

// --- memory ---

NicModel::RangeId NicModel::open_range(const std::byte* base, uint64_t size) {
  const auto first = reinterpret_cast<uint64_t>(base);
  ranges_.push_back({next_range_, first / kLine * kLine, round_up(first + size, kLine)});
  return next_range_++;
}

void NicModel::close_range(RangeId range) {
  std::erase_if(ranges_, [&](const Range& each) { return each.id == range; });
}

bool NicModel::is_open(uint64_t address) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const Range& each) { return address >= each.first && address + kLine <= each.last; });
}

uint64_t NicModel::due() {
  return cycle_ + timing_.min_latency + (timing_.max_latency > timing_.min_latency
                                             ? random_() % (timing_.max_latency - timing_.min_latency + 1) : 0);
}

// Of what is due: the first of any identity, drawn by chance.
template <typename Pending>
size_t NicModel::choose(const std::deque<Pending>& pending) {
  if (timing_.max_latency == timing_.min_latency)
    return !pending.empty() && pending.front().due <= cycle_ ? 0 : SIZE_MAX;
  size_t chosen = SIZE_MAX, seen = 0;
  std::array<uint64_t, 16> ids{};  // those that have an older one
  for (size_t i = 0; i < pending.size(); ++i) {
    uint64_t& word = ids[pending[i].id / 64];
    const uint64_t bit = uint64_t{1} << (pending[i].id % 64);
    const bool is_first = (word & bit) == 0;
    word |= bit;
    if (is_first && pending[i].due <= cycle_ && random_() % ++seen == 0) chosen = i;
  }
  return chosen;
}

// Memory's side of an atomic: performed if the word is what the exclusive read saw, and at times refused without a
// reason, as a monitor may. Other threads of the process write there, with atomics of their own.
bool NicModel::perform_exclusive(const Write& write) {
  const auto word = static_cast<uint32_t>(__builtin_ctzll(write.strobe)) / 8;
  TIARA_CHECK(write.address == exclusive_.address && write.strobe == uint64_t{0xff} << (8 * word));
  if (random_() % 100 < timing_.busy_percent) return false;
  uint64_t expected = exclusive_.words[word], value;
  std::memcpy(&value, reinterpret_cast<const std::byte*>(write.data.data()) + 8 * word, 8);
  return __atomic_compare_exchange_n(reinterpret_cast<uint64_t*>(write.address) + word, &expected, value, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

// Whole words are single stores: other threads of the process may look at them.
void NicModel::perform(const Write& write) {
  auto* const to = reinterpret_cast<std::byte*>(write.address);
  const auto* const from = reinterpret_cast<const std::byte*>(write.data.data());
  for (uint32_t word = 0; word < 8; ++word) {
    const uint64_t lanes = write.strobe >> (8 * word) & 0xff;
    uint64_t value;
    std::memcpy(&value, from + 8 * word, 8);
    if (lanes == 0xff) {
      __atomic_store_n(reinterpret_cast<uint64_t*>(to) + word, value, __ATOMIC_RELEASE);
    } else {
      for (uint32_t i = 0; i < 8; ++i)
        if ((lanes >> i & 1) != 0) to[8 * word + i] = from[8 * word + i];
    }
  }
}

void NicModel::drive_bus() {
  nic_->ar_ready_i = random_() % 100 >= timing_.busy_percent;
  nic_->aw_ready_i = !address_half_ && random_() % 100 >= timing_.busy_percent;
  nic_->w_ready_i = !data_half_ && random_() % 100 >= timing_.busy_percent;
  // What is offered stays until it is taken.
  if (read_chosen_ == SIZE_MAX && random_() % 100 >= timing_.silent_percent) {
    read_chosen_ = choose(reads_);
    if (read_chosen_ != SIZE_MAX) {
      const Read& read = reads_[read_chosen_];
      nic_->r_id_i = static_cast<uint16_t>(read.id);
      nic_->r_resp_i = is_open(read.address) ? 0 : 2;
      if (nic_->r_resp_i == 0) {
        for (uint32_t i = 0; i < 8; ++i) {
          const uint64_t word = __atomic_load_n(reinterpret_cast<const uint64_t*>(read.address) + i, __ATOMIC_ACQUIRE);
          nic_->r_data_i[2 * i] = static_cast<uint32_t>(word);
          nic_->r_data_i[2 * i + 1] = static_cast<uint32_t>(word >> 32);
          if (read.is_exclusive) exclusive_.words[i] = word;
        }
        if (read.is_exclusive) {
          exclusive_.address = read.address;
          nic_->r_resp_i = kExclusiveOkay;
        }
      }
    }
  }
  nic_->r_valid_i = read_chosen_ != SIZE_MAX;
  if (write_chosen_ == SIZE_MAX && random_() % 100 >= timing_.silent_percent) {
    write_chosen_ = choose(writes_);
    if (write_chosen_ != SIZE_MAX) {
      const Write& write = writes_[write_chosen_];
      nic_->b_id_i = static_cast<uint16_t>(write.id);
      nic_->b_resp_i = write.strobe == 0 || is_open(write.address) ? 0 : 2;
      if (nic_->b_resp_i == 0 && write.is_exclusive) nic_->b_resp_i = perform_exclusive(write) ? kExclusiveOkay : 0;
      else if (nic_->b_resp_i == 0 && write.strobe != 0) perform(write);
    }
  }
  nic_->b_valid_i = write_chosen_ != SIZE_MAX;
}

void NicModel::take_outputs() {
  if (nic_->r_valid_i && nic_->r_ready_o) {
    reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(read_chosen_));
    read_chosen_ = SIZE_MAX;
  }
  if (nic_->b_valid_i && nic_->b_ready_o) {
    writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(write_chosen_));
    write_chosen_ = SIZE_MAX;
  }
  if (nic_->ar_valid_o && nic_->ar_ready_i)
    reads_.push_back({due(), nic_->ar_addr_o, nic_->ar_id_o, nic_->ar_lock_o != 0});
  if (nic_->aw_valid_o && nic_->aw_ready_i)
    address_half_ = Write{0, nic_->aw_addr_o, nic_->aw_id_o, {}, 0, nic_->aw_lock_o != 0};
  if (nic_->w_valid_o && nic_->w_ready_i) {
    data_half_ = Write{0, 0, 0, {}, nic_->w_strb_o, false};
    for (size_t i = 0; i < 16; ++i) data_half_->data[i] = nic_->w_data_o[i];
  }
  if (address_half_ && data_half_) {
    writes_.push_back({due(), address_half_->address, address_half_->id, data_half_->data, data_half_->strobe,
                       address_half_->is_exclusive});
    address_half_.reset();
    data_half_.reset();
  }
}

// --- frames ---

void NicModel::drive_frames() {
  nic_->s_tvalid_i = 0;
  if (!in_.empty() && (is_inside_ || nic_->s_has_room_o) && random_() % 100 >= timing_.silent_percent) {
    const std::vector<std::byte>& frame = in_.front();
    const size_t bytes = std::min(kLine, frame.size() - in_at_);
    uint32_t words[16] = {};
    std::memcpy(words, frame.data() + in_at_, bytes);
    for (size_t i = 0; i < 16; ++i) nic_->s_tdata_i[i] = words[i];
    nic_->s_tkeep_i = bytes == kLine ? UINT64_MAX : (uint64_t{1} << bytes) - 1;
    nic_->s_tlast_i = in_at_ + bytes == frame.size();
    nic_->s_tvalid_i = 1;
  }
  nic_->m_tready_i = random_() % 100 >= timing_.busy_percent;
}

std::optional<std::vector<std::byte>> NicModel::receive() {
  if (received_.empty()) return std::nullopt;
  std::vector<std::byte> frame = std::move(received_.front());
  received_.pop_front();
  return frame;
}

void NicModel::tick() {
  drive_frames();
  drive_bus();
  nic_->eval();
  answer_remote();
  if (nic_->s_tvalid_i && nic_->s_tready_o) {
    in_at_ += kLine;
    is_inside_ = nic_->s_tlast_i == 0;
    if (!is_inside_) {
      in_.pop_front();
      in_at_ = 0;
    }
  }
  if (nic_->m_tvalid_o && nic_->m_tready_i) {
    const uint64_t keep = nic_->m_tkeep_o;
    const size_t bytes = keep == UINT64_MAX ? kLine : static_cast<size_t>(__builtin_ctzll(~keep));
    const size_t at = out_.size();
    out_.resize(at + bytes);
    std::memcpy(out_.data() + at, &nic_->m_tdata_o[0], bytes);
    if (nic_->m_tlast_o) received_.push_back(std::exchange(out_, {}));
  }
  take_outputs();
  clock();
  ++cycle_;
}

// --- the host ---

void NicModel::write(HostRegister at, uint64_t value) {
  nic_->host_we_i = 1;
  nic_->host_addr_i = static_cast<uint8_t>(at);
  nic_->host_data_i = value;
  for (bool is_taken = false; !is_taken;) {
    nic_->eval();
    is_taken = nic_->host_ready_o != 0;
    tick();
  }
  nic_->host_we_i = 0;
}

uint64_t NicModel::read(uint8_t at) {
  nic_->host_addr_i = at;
  nic_->eval();
  return nic_->host_data_o;
}

bool NicModel::load(const OperatorImage& image, uint32_t number) {
  write(HostRegister::kBegin, number);
  for (const uint64_t word : image.words) write(HostRegister::kWord, word);
  write(HostRegister::kTag, image.tag);
  while ((read(0) & 1) == 0) tick();
  return (read(0) & 2) == 0;
}

bool NicModel::unload(uint32_t number) {
  write(HostRegister::kUnload, number);
  write(HostRegister::kReclaim, number);
  while ((read(0) & 1) == 0) tick();
  return (read(0) & 2) == 0;
}

void NicModel::set_region(uint32_t domain, uint32_t region, const Region& bound, uint8_t tenant, bool is_cacheable) {
  write(HostRegister::kEntryBase, reinterpret_cast<uint64_t>(bound.base));
  write(HostRegister::kEntrySize, bound.size);
  write(HostRegister::kEntry, uint64_t{tenant} << 24 | uint64_t{is_cacheable} << 19 |
                                  static_cast<uint64_t>(bound.permission) << 16 | domain << 4 | region);
}

void NicModel::bind(uint32_t number, uint32_t space, uint32_t domain, bool is_valid) {
  write(HostRegister::kBind, uint64_t{is_valid} << 24 | domain << 16 | space << 8 | number);
}

bool NicModel::open_client(uint32_t client, const wire::NetworkAddress& from, uint8_t tenant, uint8_t fair_class) {
  if ((read(1) >> client & 1) != 0) return false;
  write(HostRegister::kClientMac, from.mac);
  write(HostRegister::kClientAddress, uint64_t{from.port} << 32 | from.ip);
  write(HostRegister::kClient, uint64_t{tenant} << 16 | uint64_t{fair_class} << 12 | 1u << 8 | client);
  return true;
}

void NicModel::close_client(uint32_t client) { write(HostRegister::kClient, client); }

NicFigures NicModel::figures() {
  uint32_t all[14];
  for (uint8_t i = 0; i < 14; ++i) all[i] = static_cast<uint32_t>(read(static_cast<uint8_t>(0x10 + i)));
  return {all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[7], all[8], all[9], all[10], all[11], all[12],
          all[13]};
}

// A request is performed once; its answer stands until the NIC has taken it.
void NicModel::answer_remote() {
  if (!nic_->rmt_valid_o) remote_answer_.reset();
  if (nic_->rmt_valid_o && !remote_answer_) {
    RemotePort* const port = remote ? remote(nic_->rmt_slot_o) : nullptr;
    const RemoteAddress at{nic_->rmt_host_o, nic_->rmt_region_o, nic_->rmt_addr_o};
    remote_answer_ = RemoteAnswer{0, Fault::kRemoteUnavailable};
    auto& [old, fault] = *remote_answer_;
    if (port != nullptr) {
      switch (nic_->rmt_op_o) {
        case kOpRemoteLoad: fault = port->load(at, old); break;
        case kOpRemoteStore: fault = port->store(at, nic_->rmt_operand_o); break;
        case kOpRemoteCas: fault = port->compare_and_swap(at, nic_->rmt_argument_o, nic_->rmt_operand_o, old); break;
        case kOpRemoteFaa: fault = port->fetch_and_add(at, nic_->rmt_operand_o, old); break;
        case kOpRemoteSwp: fault = port->swap(at, nic_->rmt_operand_o, old); break;
        default:  // any other that comes here is the gather
          fault = port->read_bytes(at, {reply_of(nic_->rmt_slot_o) + nic_->rmt_argument_o, nic_->rmt_operand_o});
      }
    }
  }
  nic_->rmt_answer_i = remote_answer_.has_value();
  if (!remote_answer_) return;
  nic_->rmt_data_i = remote_answer_->data;
  nic_->rmt_fault_i = static_cast<uint8_t>(remote_answer_->fault);
  nic_->eval();
}

}  // namespace tiara::nic::rtl
