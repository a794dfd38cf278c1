#include "nic/rtl/dv/mover_host.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tiara_mover_model.h"

namespace tiara::nic::rtl {
namespace {

constexpr uint32_t kSlots = 256;

[[noreturn]] void die(uint64_t cycle, const char* what) {
  fprintf(stderr, "mover, cycle %llu: %s\n", static_cast<unsigned long long>(cycle), what);
  abort();
}

void clock(Vtiara_mover& mover) {
  mover.clk_i = 1;
  mover.eval();
  mover.clk_i = 0;
  mover.eval();
}

}  // namespace

MoverHost::MoverHost(const HostTiming& timing, std::span<const std::byte> source, std::span<std::byte> destination)
    : mover_(std::make_unique<Vtiara_mover>()), timing_(timing), random_(timing.seed), source_(source),
      destination_(destination), is_slot_used_(kSlots) {
  mover_->rst_ni = 0;
  for (int i = 0; i < 4; ++i) clock(*mover_);
  mover_->rst_ni = 1;
  clock(*mover_);
}

MoverHost::~MoverHost() { mover_->final(); }

void MoverHost::take_write() {
  if (taken_.empty()) die(cycle_, "a write of no command");
  const Command& command = taken_.front();
  if (mover_->write_id_o != command.id) die(cycle_, "a write of another command");
  const uint64_t line = mover_->write_addr_o;
  for (uint32_t i = 0; i < kLineBytes; ++i) {
    if ((mover_->write_strobe_o >> i & 1) == 0) continue;
    const uint64_t at = line + i;
    if (at < command.to || at >= command.to + command.length) die(cycle_, "a write outside the command's destination");
    destination_[at] = static_cast<std::byte>(mover_->write_data_o[i / 4] >> (8 * (i % 4)));
  }
  ++writes_;
  if (!mover_->write_is_last_o) return;
  taken_.pop_front();
  ++done_;
  last_done_at_ = cycle_;
}

void MoverHost::tick() {
  mover_->cmd_valid_i = !commands_.empty();
  if (!commands_.empty()) {
    mover_->cmd_from_i = commands_.front().from;
    mover_->cmd_to_i = commands_.front().to;
    mover_->cmd_length_i = commands_.front().length;
    mover_->cmd_id_i = commands_.front().id;
  }
  mover_->read_ready_i = random_() % 100 >= timing_.busy_percent;
  mover_->write_ready_i = random_() % 100 >= timing_.busy_percent;
  // Any line that is due may come next.
  mover_->line_valid_i = 0;
  size_t chosen = SIZE_MAX, seen = 0;
  for (size_t i = 0; i < lines_.size(); ++i)
    if (lines_[i].due <= cycle_ && random_() % ++seen == 0) chosen = i;
  if (chosen != SIZE_MAX && random_() % 100 >= timing_.silent_percent) {
    const Line line = lines_[chosen];
    lines_[chosen] = lines_.back();
    lines_.pop_back();
    mover_->line_valid_i = 1;
    mover_->line_tag_i = static_cast<uint8_t>(line.tag);
    memcpy(&mover_->line_data_i[0], source_.data() + line.address, kLineBytes);
    is_slot_used_[line.tag] = false;
  }
  mover_->eval();
  if (mover_->cmd_valid_i && mover_->cmd_ready_o) {
    taken_.push_back(commands_.front());
    commands_.pop_front();
  }
  if (mover_->read_valid_o && mover_->read_ready_i) {
    const uint64_t address = mover_->read_addr_o;
    if (address % kLineBytes != 0 || address + kLineBytes > source_.size()) die(cycle_, "a read outside the source");
    if (is_slot_used_[mover_->read_tag_o]) die(cycle_, "a slot that still waits for its line");
    is_slot_used_[mover_->read_tag_o] = true;
    uint64_t due = cycle_ + timing_.min_latency;
    if (timing_.max_latency > timing_.min_latency)
      due += random_() % (timing_.max_latency - timing_.min_latency + 1);
    lines_.push_back({due, mover_->read_tag_o, address});
  }
  if (mover_->write_valid_o && mover_->write_ready_i) take_write();
  clock(*mover_);
  ++cycle_;
}

}  // namespace tiara::nic::rtl
