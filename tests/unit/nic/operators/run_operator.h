// Runs an operator of nic/operators on a piece of memory bound as its region `data`.
#pragma once

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "nic/engine/interpreter.h"
#include "nic/isa/program.h"
#include "nic/operators/library.h"
#include "nic/verifier/verified_program.h"

namespace tiara::nic::operators {

inline const VerifiedProgram& library_operator(std::string_view name) {
  static const auto* programs = [] {
    auto* made = new std::map<std::string, VerifiedProgram, std::less<>>;
    for (const BuiltinOperator& each : builtin_operators()) {
      auto program = deserialize(each.container);
      if (!program) std::abort();
      auto verified = verify(std::move(*program));
      if (!verified) std::abort();
      made->emplace(each.name, std::move(*verified));
    }
    return made;
  }();
  return programs->find(name)->second;
}

// Line-aligned memory, zeroed.
class Data {
 public:
  explicit Data(size_t bytes)
      : bytes_((bytes + 63) / 64 * 64),
        base_(static_cast<std::byte*>(std::aligned_alloc(64, bytes_)), &std::free) {
    std::memset(base_.get(), 0, bytes_);
  }
  uint64_t& word(uint64_t offset) { return *reinterpret_cast<uint64_t*>(base_.get() + offset); }
  uint32_t& half(uint64_t offset) { return *reinterpret_cast<uint32_t*>(base_.get() + offset); }
  std::byte* at(uint64_t offset) { return base_.get() + offset; }
  size_t size() const { return bytes_; }

 private:
  size_t bytes_;
  std::unique_ptr<std::byte, void (*)(void*)> base_;
};

struct Run {
  Outcome outcome;
  std::vector<std::byte> reply;  // what was written of it
  uint64_t result(size_t i) const { return outcome.results[i]; }
  bool is_ok() const { return outcome.status == Status::kOk; }
};

inline Run run(std::string_view name, Data& data, std::vector<uint64_t> arguments,
               std::span<const std::byte> payload = {}, RemotePort* remote = nullptr) {
  static Interpreter engine;
  const VerifiedProgram& program = library_operator(name);
  RegionTable regions{};
  regions[0] = {data.at(0), data.size(), Permission::kReadWriteAtomic};
  Run result{{}, std::vector<std::byte>(program.bounds().reply_bytes)};
  result.outcome = engine.run(program, {regions, arguments, payload, result.reply, remote});
  result.reply.resize(result.outcome.reply_bytes);
  return result;
}

}  // namespace tiara::nic::operators
