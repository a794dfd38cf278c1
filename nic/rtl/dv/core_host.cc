#include "nic/rtl/dv/core_host.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nic/engine/memory.h"
#include "nic/engine/remote_port.h"
#include "nic/rtl/microcode.h"

namespace tiara::nic::rtl {
namespace {

constexpr uint32_t kContextEntries = 1u << 8;  // {1, context, kind}; {0, domain, region} below
constexpr uint64_t kAddressBits = 48;

uint64_t load_bytes(const std::byte* from, uint64_t length) {
  uint64_t value = 0;
  memcpy(&value, from, length);
  return value;
}

bool is_appending(Opcode opcode) {
  return opcode == Opcode::kEmit || opcode == Opcode::kGather || opcode == Opcode::kGatherS ||
         opcode == Opcode::kGatherL || opcode == Opcode::kScatterS || opcode == Opcode::kScatterL ||
         opcode == Opcode::kRGather;
}
bool is_payload_length(Opcode opcode) { return opcode == Opcode::kPlen; }

bool uses(std::span<const Instruction> code, bool (*is_it)(Opcode)) {
  return std::any_of(code.begin(), code.end(), [&](const Instruction& each) { return is_it(each.opcode); });
}

}  // namespace

struct CoreHost::Request {
  uint8_t op;
  uint32_t context;
  uint64_t address, length, data, operand;
  uint8_t region;
  bool is_scatter;
};

CoreHost::CoreHost(const HostTiming& timing, CorePins core) : core_(std::move(core)), timing_(timing),
    random_(timing.seed), entries_(2 * kContextEntries) {
  core_.rst_ni = 0;
  for (int i = 0; i < 4; ++i) clock();
  core_.rst_ni = 1;
  // The word that stands for "no entry": requests to other nodes keep their offset.
  clock();
}

void CoreHost::set_timing(const HostTiming& timing) {
  timing_ = timing;
  random_.seed(timing.seed);
}

void CoreHost::die(uint32_t context, const char* what) const {
  fprintf(stderr, "cycle %llu, context %u: %s\n", static_cast<unsigned long long>(cycle_), context, what);
  abort();
}

void CoreHost::clock() {
  core_.clk_i = 1;
  core_.eval();
  core_.clk_i = 0;
  core_.eval();
}

void CoreHost::write_entry(uint32_t index, uint64_t base, uint64_t size, uint8_t permission, uint8_t tenant,
                           bool is_cacheable) {
  const Entry entry{base, size, permission, tenant, is_cacheable};
  if (entries_[index] == entry) return;
  entries_[index] = entry;
  core_.entry_we_i = 1;
  core_.entry_index_i = static_cast<uint16_t>(index);
  core_.entry_base_i = base & ((uint64_t{1} << kAddressBits) - 1);
  core_.entry_size_i = std::min(size, (uint64_t{1} << kAddressBits) - 1);
  core_.entry_permission_i = permission;
  core_.entry_tenant_i = tenant;
  core_.entry_is_cacheable_i = is_cacheable;
  tick();
  core_.entry_we_i = 0;
}

void CoreHost::write_store(uint32_t address, uint64_t word) {
  core_.store_we_i = 1;
  core_.store_addr_i = static_cast<uint16_t>(address);
  core_.store_data_i = word;
  tick();
  core_.store_we_i = 0;
}

// Where the job's code stands in the store, there already or written now.
uint32_t CoreHost::place_code(const CoreJob& job) {
  if (const auto found = loaded_.find(job.code.data()); found != loaded_.end()) return found->second;
  uint32_t base = 0, run = 0;
  for (uint32_t word = 0; word < kStoreWords && run < job.code.size(); ++word) {
    run = store_used_[word] ? 0 : run + 1;
    base = word + 1 - run;
  }
  if (run < job.code.size()) return kNoRoom;
  for (uint32_t i = 0; i < job.code.size(); ++i) {
    store_used_[base + i] = true;
    write_store(base + i, encode(job.code[i]));
  }
  if (job.stays_loaded) loaded_[job.code.data()] = base;
  return base;
}

// Every context has a domain of its own here, so that jobs with different regions run side by side: with more contexts
// than domains two of them share one, and the second waits.
bool CoreHost::try_submit(CoreJob& job) {
  uint32_t context = 0;
  const auto domain_of = [](uint32_t each) { return each % 16; };
  const auto is_domain_free = [&](uint32_t domain) {
    for (uint32_t other = domain; other < core_.contexts; other += 16)
      if (running_[other].job != nullptr && running_[other].job->regions != job.regions) return false;
    return true;
  };
  const auto is_taken = [&](uint32_t each) {
    return running_[each].job != nullptr || !is_domain_free(domain_of(each));
  };
  while (context < core_.contexts && is_taken(context)) ++context;
  if (context == core_.contexts) return false;
  const uint32_t base = place_code(job);
  if (base == kNoRoom) return false;

  Running& running = running_[context];
  running = {};
  running.job = &job;
  running.base = base;
  ++running_count_;
  for (uint32_t region = 0; region < kMaxRegions; ++region) {
    const Region& each = (*job.regions)[region];
    write_entry(domain_of(context) << 4 | region, reinterpret_cast<uint64_t>(each.base), each.size,
                static_cast<uint8_t>(each.permission), job.region_tenant, (job.cacheable >> region & 1) != 0);
  }
  write_entry(kContextEntries | context << 2, 0, job.scratchpad_bytes, 0, job.tenant);
  write_entry(kContextEntries | context << 2 | 1, 0, job.payload.size(), 0, job.tenant);
  write_entry(kContextEntries | context << 2 | 2, 0, job.reply.size(), 0, job.tenant);
  // What a program does not use it is not given: the operator store knows that once for all of its invocations.
  if (job.clears_registers || uses(job.code, is_appending)) running.beats.push_back(temp(kReplyPosition));
  if (job.clears_registers || uses(job.code, is_payload_length)) running.beats.push_back(temp(kPayloadBytes));
  const size_t registers = job.clears_registers ? 16 : std::max<size_t>(job.arguments.size(), 1);
  for (uint8_t i = 0; i < registers; ++i) running.beats.push_back(i);
  starting_.push_back(context);
  return true;
}

uint64_t CoreHost::argument_of(const Running& running, uint8_t reg) const {
  if (reg == temp(kReplyPosition)) return 0;
  if (reg == temp(kPayloadBytes)) return running.job->payload.size();
  return reg < running.job->arguments.size() ? running.job->arguments[reg] : 0;
}

// What the core is given in this cycle: an answer that is due, or a piece of a start.
void CoreHost::drive_input() {
  core_.in_valid_i = 0;
  if (random_() % 100 < timing_.silent_percent) return;
  // Among those due any may be next, except that a line's words stay in order and its answer comes last.
  size_t chosen = SIZE_MAX, seen = 0;
  for (size_t i = 0; i < answers_.size(); ++i) {
    if (answers_[i].due > cycle_) continue;
    const bool is_first = std::none_of(answers_.begin(), answers_.end(), [&](const Answer& other) {
      return other.context == answers_[i].context && other.order < answers_[i].order;
    });
    if (is_first && random_() % ++seen == 0) chosen = i;
  }
  if (chosen != SIZE_MAX) {
    std::swap(answers_[chosen], answers_.back());
    const Answer& answer = answers_.back();
    core_.in_valid_i = 1;
    core_.in_kind_i = answer.kind;
    core_.in_ctx_i = static_cast<uint8_t>(answer.context);
    core_.in_data_i = answer.data;
    core_.in_fault_i = answer.fault;
    core_.in_reg_i = answer.word;
    return;
  }
  if (starting_.empty()) return;
  Running& running = running_[starting_.front()];
  const CoreJob& job = *running.job;
  const uint8_t reg = running.beats[running.next_beat];
  core_.in_valid_i = 1;
  core_.in_kind_i = running.next_beat + 1 == running.beats.size() ? kInStart : kInArgument;
  core_.in_ctx_i = static_cast<uint8_t>(starting_.front());
  core_.in_reg_i = reg;
  core_.in_data_i = argument_of(running, reg);
  core_.in_fault_i = 0;
  core_.in_entry_i = static_cast<uint16_t>(running.base);
  core_.in_end_i = static_cast<uint16_t>(running.base + job.code.size());
  core_.in_domain_i = starting_.front() % 16;
  core_.in_tenant_i = job.tenant;
  core_.in_steps_i = static_cast<uint32_t>(std::min<uint64_t>(job.step_limit, UINT32_MAX));
  core_.in_bytes_i = static_cast<uint32_t>(std::min<uint64_t>(job.byte_limit, UINT32_MAX));
}

void CoreHost::tick() {
  drive_input();
  core_.req_ready_i = random_() % 100 >= timing_.busy_percent;
  core_.eval();
  if (core_.in_valid_i && core_.in_ready_o) {
    if (core_.in_kind_i == kInAnswer || core_.in_kind_i == kInFill) {
      if (core_.in_kind_i == kInAnswer) running_[core_.in_ctx_i].has_request = false;
      answers_.pop_back();
    } else if (++running_[core_.in_ctx_i].next_beat == running_[core_.in_ctx_i].beats.size()) {
      starting_.erase(starting_.begin());
    }
  }
  observe();
  if (core_.req_valid_o && core_.req_ready_i) take_request();
  clock();
  ++cycle_;
}

// Registers as they are before an instruction, and what is written in this cycle.
void CoreHost::observe() {
  if (core_.hit_o != nullptr && *core_.hit_o != 0) {
    ++hits_;
    ++running_[*core_.hit_ctx_o].counts.loads;
  }
  if (core_.trc_begin_o) {
    ++issued_;
    Running& running = running_[core_.trc_ctx_o];
    if (running.job == nullptr) die(core_.trc_ctx_o, "an instruction of no invocation");
    if (running.job->begins) running.job->begins(core_.trc_pc_o - running.base, running.registers);
  }
  if (core_.trc_write_o && core_.trc_write_reg_o < 16)
    running_[core_.trc_write_ctx_o].registers[core_.trc_write_reg_o] = core_.trc_write_data_o;
}

void CoreHost::take_request() {
  const Request request{core_.req_op_o,     core_.req_ctx_o,     core_.req_addr_o,   core_.req_length_o,
                        core_.req_data_o,   core_.req_operand_o, core_.req_region_o, core_.req_is_scatter_o != 0};
  Running& running = running_[request.context];
  if (running.job == nullptr) die(request.context, "a request of no invocation");
  if (running.has_request) die(request.context, "a request while another one is not answered");
  if (request.op >= kOpEndOk) {
    finish(request.context, request);
  } else {
    running.has_request = true;
    perform(request);
  }
}

// The memory that a checked request names; whatever the core does, it must be one of the invocation's own regions.
std::byte* CoreHost::memory_of(Running& running, const Request& request) {
  for (const Region& region : *running.job->regions) {
    const auto base = reinterpret_cast<uint64_t>(region.base);
    if (request.address >= base && is_inside(request.address - base, request.length, region.size))
      return region.base + (request.address - base);
  }
  die(request.context, "a request outside the regions");
}

void CoreHost::move_bytes(Running& running, std::byte* to, const std::byte* from, uint64_t length) {
  if (length != 0) memmove(to, from, length);
  running.counts.bytes_moved += length;
}

uint64_t CoreHost::answer_remote(Running& running, const Request& request, uint8_t& fault) {
  RemotePort* const port = running.job->remote;
  const RemoteAddress at{request.data, request.region, request.address};
  uint64_t old = 0;
  Fault result = Fault::kRemoteUnavailable;
  if (port != nullptr) {
    switch (request.op) {
      case kOpRemoteLoad: result = port->load(at, old); break;
      case kOpRemoteStore: result = port->store(at, request.operand); break;
      case kOpRemoteCas: result = port->compare_and_swap(at, running.remote_argument, request.operand, old); break;
      case kOpRemoteFaa: result = port->fetch_and_add(at, request.operand, old); break;
      case kOpRemoteSwp: result = port->swap(at, request.operand, old); break;
      default:  // any other that comes here is the gather
        result = port->read_bytes(at, running.job->reply.subspan(running.remote_argument, request.operand));
        if (result == Fault::kNone) {
          running.reply_bytes = running.remote_argument + request.operand;
          running.counts.bytes_moved += request.operand;
        }
    }
  }
  fault = static_cast<uint8_t>(result);
  if (result == Fault::kNone) ++running.counts.remote_operations;
  return old;
}

void CoreHost::perform(const Request& request) {
  Running& running = running_[request.context];
  const CoreJob& job = *running.job;
  Answer answer{cycle_ + timing_.min_latency, request.context, kInAnswer, 0, 0, 0, 0};
  if (timing_.max_latency > timing_.min_latency)
    answer.due += random_() % (timing_.max_latency - timing_.min_latency + 1);
  switch (request.op) {
    case kOpLoad:
      answer.data = load_bytes(memory_of(running, request), request.length);
      // The core must not rely on what stands above the bytes that it asked for.
      if (request.length < 8) answer.data |= random_() << (8 * request.length);
      ++running.counts.loads;
      break;
    case kOpStore:
      memcpy(memory_of(running, request), &request.data, request.length);
      ++running.counts.stores;
      break;
    case kOpLine: {
      const std::byte* const line = memory_of(running, request);
      for (uint8_t word = 0; word < 8; ++word)
        answers_.push_back({answer.due, request.context, kInFill, word, load_bytes(line + 8 * word, 8), 0, ++order_});
      ++running.counts.lines;
      break;
    }
    case kOpCas: case kOpFaa: case kOpSwp: {
      std::byte* const word = memory_of(running, request);
      const uint64_t old = load_bytes(word, 8);
      const uint64_t next = request.op == kOpFaa ? old + request.data
                            : request.op == kOpSwp ? request.data
                            : old == request.data ? request.operand : old;
      memcpy(word, &next, 8);
      answer.data = old;
      ++running.counts.atomics;
      break;
    }
    case kOpEmit:
      if (!is_inside(request.address, 8, job.reply.size())) die(request.context, "emit outside the reply");
      memcpy(job.reply.data() + request.address, &request.operand, 8);
      running.reply_bytes = request.address + 8;
      break;
    case kOpElement: case kOpGather: case kOpScatter: {
      std::byte* const memory = memory_of(running, request);
      const bool is_scatter = request.op == kOpScatter || (request.op == kOpElement && request.is_scatter);
      if (!is_inside(request.data, request.length, is_scatter ? job.payload.size() : job.reply.size()))
        die(request.context, "a move outside the payload or the reply");
      if (is_scatter) {
        move_bytes(running, memory, job.payload.data() + request.data, request.length);
      } else {
        move_bytes(running, job.reply.data() + request.data, memory, request.length);
        running.reply_bytes = request.data + request.length;
      }
      break;
    }
    case kOpFill:
      memset(memory_of(running, request), static_cast<int>(request.data & 0xff), request.length);
      running.counts.bytes_moved += request.length;
      break;
    case kOpCopyFrom: running.copy_from = memory_of(running, request); break;
    case kOpCopyTo: move_bytes(running, memory_of(running, request), running.copy_from, request.length); break;
    case kOpPayloadLoad:
      if (!is_inside(request.address, 8, job.payload.size())) die(request.context, "a load outside the payload");
      answer.data = load_bytes(job.payload.data() + request.address, 8);
      break;
    case kOpFence: break;
    case kOpRemoteArgument: running.remote_argument = request.data; break;
    case kOpRemoteLoad: case kOpRemoteStore: case kOpRemoteCas: case kOpRemoteFaa: case kOpRemoteSwp:
    case kOpRemoteGather:
      answer.data = answer_remote(running, request, answer.fault);
      break;
    default: die(request.context, "an unknown request");  // any other is none
  }
  answer.order = ++order_;
  answers_.push_back(answer);
}

void CoreHost::finish(uint32_t context, const Request& request) {
  Running& running = running_[context];
  running.results[core_.req_result_o] = request.data;
  if (!core_.req_is_last_o) return;
  Outcome outcome;
  outcome.status = static_cast<Status>(core_.req_status_o);
  outcome.pc = core_.req_pc_o - running.base - core_.req_is_ahead_o;
  outcome.code = static_cast<uint16_t>(outcome.status == Status::kFailed  ? request.length
                                       : outcome.status == Status::kFault ? core_.req_fault_o : 0);
  const uint32_t wanted = outcome.status == Status::kOk ? running.job->code[outcome.pc].bits() : 0;
  for (uint32_t i = 0; i < wanted && i < kResultRegisters; ++i) outcome.results[i] = running.results[i];
  outcome.reply_bytes = running.reply_bytes;
  outcome.counts = running.counts;
  // RET and FAIL retire too; an instruction that faulted does not.
  const uint64_t budget = std::min<uint64_t>(running.job->step_limit, UINT32_MAX);
  outcome.counts.steps = budget - core_.req_steps_o + (outcome.status != Status::kFault) - core_.req_is_ahead_o;
  CoreJob& job = *running.job;
  for (uint32_t i = 0; i < job.code.size() && !job.stays_loaded; ++i) store_used_[running.base + i] = false;
  running.job = nullptr;
  --running_count_;
  if (job.done) job.done(outcome);
}

}  // namespace tiara::nic::rtl
