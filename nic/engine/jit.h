// The x86-64 engine: verified programs compiled ahead of their first run.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "nic/engine/interpreter.h"
#include "nic/engine/jit_code.h"

namespace tiara::nic {

// Programs are compiled by prepare() and kept until the engine goes. run() of a program that was not prepared (or for
// which there was no room) is the interpreter's: the answer is the same, only slower.
class JitEngine final : public Engine {
 public:
  // kUnsupported where this CPU cannot run the code.
  static Result<std::unique_ptr<JitEngine>> create(Checks checks = Checks::kElideProved);

  Result<void> prepare(const VerifiedProgram& program) override;
  Outcome run(const VerifiedProgram& program, const Invocation& invocation) noexcept override;

  bool is_prepared(const VerifiedProgram& program) const noexcept { return find(&program.program()) != nullptr; }

 private:
  // An operator registry holds at most hundreds of programs; the table stays sparse, so that a probe is one compare.
  static constexpr size_t kSlots = 4096;
  static constexpr size_t kMaxPrograms = kSlots / 4;

  explicit JitEngine(Checks checks) : checks_(checks) {}

  static size_t slot_of(const Program* key) { return (reinterpret_cast<uintptr_t>(key) >> 4) % kSlots; }
  const JitCode* find(const Program* key) const noexcept;

  Checks checks_;
  Interpreter interpreter_;
  std::mutex preparing_;
  std::vector<std::unique_ptr<const JitCode>> codes_;  // under preparing_; grows only
  struct Slot {
    std::atomic<const Program*> key{nullptr};  // released by prepare() after `code`; acquired by find()
    const JitCode* code = nullptr;
  };
  // Open addressing, never removed from: readers need no lock. Keyed by the address of the verified content, which
  // the code keeps alive.
  std::array<Slot, kSlots> table_{};
};

}  // namespace tiara::nic
