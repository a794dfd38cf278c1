#include "tests/rtl/lockstep.h"

#include <cstring>
#include <sstream>

namespace tiara::nic::rtl {
namespace {

std::string describe(const Outcome& outcome) {
  std::ostringstream text;
  const Counts& counts = outcome.counts;
  text << "status " << static_cast<int>(outcome.status) << " code " << outcome.code << " pc " << outcome.pc
       << " results" << std::hex;
  for (const uint64_t result : outcome.results) text << " " << result;
  text << std::dec << " reply " << outcome.reply_bytes << " steps " << counts.steps << " loads " << counts.loads
       << " stores " << counts.stores << " lines " << counts.lines << " atomics " << counts.atomics << " bytes "
       << counts.bytes_moved << " remote " << counts.remote_operations;
  return text.str();
}

}  // namespace

Lockstep::Lockstep(std::string name, Program program, std::vector<uint64_t> arguments, Side model, Side core,
                   uint64_t step_limit, Coverage& coverage)
    : name_(std::move(name)), program_(std::move(program)), arguments_(std::move(arguments)), model_(std::move(model)),
      core_(std::move(core)) {
  alignas(64) std::array<std::byte, kMaxScratchpadBytes> scratchpad{};
  Machine machine{model_.regions, model_.payload, model_.reply, model_.remote,
                  std::span(scratchpad).first(program_.scratchpad_bytes)};
  expected_ = interpret(program_.code, machine, arguments_, step_limit, [&](uint32_t pc, const Registers& registers) {
    places_.push_back({pc, registers});
    ++coverage[{program_.code[pc].opcode, 0}];
  });
  // The last one that began is the one that faulted, unless the fault is that none may begin.
  if (expected_.status == Status::kFault && !places_.empty() && places_.back().pc == expected_.pc)
    ++coverage[{program_.code[expected_.pc].opcode, expected_.code}];
  job_ = {.code = program_.code,
          .regions = &core_.regions,
          .arguments = arguments_,
          .payload = core_.payload,
          .reply = core_.reply,
          .remote = core_.remote,
          .scratchpad_bytes = program_.scratchpad_bytes,
          .step_limit = step_limit,
          .clears_registers = true,
          .begins = [this](uint32_t pc, const Registers& registers) { begins(pc, registers); },
          .done = [this](const Outcome& outcome) { done(outcome); }};
}

void Lockstep::begins(uint32_t pc, const Registers& registers) {
  if (!difference_.empty()) return;
  std::ostringstream text;
  if (next_ == places_.size()) {
    text << "instruction " << next_ << " at pc " << pc << " should not begin; expected " << describe(expected_);
  } else if (const Place& place = places_[next_]; place.pc != pc) {
    text << "instruction " << next_ << " is at pc " << pc << ", expected " << place.pc;
  } else {
    for (uint32_t reg = 0; reg < kRegisters; ++reg)
      if (registers[reg] != place.registers[reg]) {
        text << "before instruction " << next_ << " at pc " << pc << " r" << reg << " is 0x" << std::hex
             << registers[reg] << ", expected 0x" << place.registers[reg];
        break;
      }
  }
  ++next_;
  difference_ = text.str();
}

void Lockstep::done(const Outcome& outcome) {
  is_done_ = true;
  if (!difference_.empty()) return;
  if (next_ != places_.size()) difference_ = "it ends after " + std::to_string(next_) + " instructions of " +
                                             std::to_string(places_.size()) + ": " + describe(outcome);
  else if (!(outcome == expected_)) difference_ = describe(outcome) + ", expected " + describe(expected_);
  else if (memcmp(core_.reply.data(), model_.reply.data(), outcome.reply_bytes) != 0) difference_ = "the reply differs";
  for (size_t i = 0; difference_.empty() && i < core_.memory.size(); ++i)
    if (memcmp(core_.memory[i].data(), model_.memory[i].data(), core_.memory[i].size()) != 0)
      difference_ = "memory " + std::to_string(i) + " differs";
}

}  // namespace tiara::nic::rtl
