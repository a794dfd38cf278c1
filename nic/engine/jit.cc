#include "nic/engine/jit.h"

namespace tiara::nic {
namespace {

void run_on_machine(const JitCode& code, const Invocation& invocation, std::span<std::byte> scratchpad,
                    Outcome& outcome) noexcept {
  Machine machine{.regions = invocation.regions,
                  .payload = invocation.payload,
                  .reply = invocation.reply,
                  .remote = invocation.remote,
                  .scratchpad = scratchpad};
  code.entry(&outcome, invocation.regions.data(), invocation.arguments.data(), &machine, scratchpad.data());
  outcome.reply_bytes = machine.reply_bytes;
  outcome.counts.bytes_moved += machine.counts.bytes_moved;
  outcome.counts.remote_operations += machine.counts.remote_operations;
}

// Not inlined: only a program that declares a scratchpad pays for its stack.
template <size_t kBytes>
[[gnu::noinline]] void run_with_scratchpad(const JitCode& code, const Invocation& invocation,
                                           Outcome& outcome) noexcept {
  alignas(kLineBytes) std::byte scratchpad[kBytes];
  run_on_machine(code, invocation, {scratchpad, code.scratchpad_bytes}, outcome);
}

}  // namespace

Result<std::unique_ptr<JitEngine>> JitEngine::create(Checks checks) {
  return std::unique_ptr<JitEngine>(new JitEngine(checks));
}

const JitCode* JitEngine::find(const Program* key) const noexcept {
  // Ends: the table is at most a quarter full.
  for (size_t slot = slot_of(key);; slot = (slot + 1) % kSlots) {
    const Program* found = table_[slot].key.load(std::memory_order_acquire);
    if (found == key) [[likely]] return table_[slot].code;
    if (found == nullptr) return nullptr;
  }
}

Result<void> JitEngine::prepare(const VerifiedProgram& program) {
  const std::lock_guard lock(preparing_);
  const Program* key = &program.program();
  if (find(key) != nullptr) return {};
  if (codes_.size() == kMaxPrograms)
    return fail(ErrorCode::kResourceExhausted, "the engine holds 1024 programs already; this one is interpreted");
  TIARA_TRY(JitCode code, compile(program, checks_));
  codes_.push_back(std::make_unique<const JitCode>(std::move(code)));
  size_t slot = slot_of(key);
  while (table_[slot].key.load(std::memory_order_relaxed) != nullptr) slot = (slot + 1) % kSlots;
  table_[slot].code = codes_.back().get();
  table_[slot].key.store(key, std::memory_order_release);
  return {};
}

Outcome JitEngine::run(const VerifiedProgram& program, const Invocation& invocation) noexcept {
  Outcome outcome;  // the only object returned: it is built where the caller wants it, never copied
  const JitCode* code = find(&program.program());
  if (code == nullptr) [[unlikely]] {
    outcome = interpreter_.run(program, invocation);
  } else if (invocation.arguments.size() != code->argument_count) [[unlikely]] {
    outcome.code = static_cast<uint16_t>(Refusal::kArgumentCount);
  } else if (!code->needs_machine) {
    code->entry(&outcome, invocation.regions.data(), invocation.arguments.data(), nullptr, nullptr);
  } else if (code->scratchpad_bytes == 0) {
    run_on_machine(*code, invocation, {}, outcome);
  } else if (code->scratchpad_bytes <= 512) {
    run_with_scratchpad<512>(*code, invocation, outcome);
  } else {
    run_with_scratchpad<kMaxScratchpadBytes>(*code, invocation, outcome);
  }
  return outcome;
}

}  // namespace tiara::nic
