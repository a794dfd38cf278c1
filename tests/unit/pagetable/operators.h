// Runs the page-table operators on a TestPool, as the node would: from their containers, verified, on the engine of
// this build of the tests: the interpreter, or the NIC in simulation.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "nic/engine/interpreter.h"
#include "nic/isa/program.h"
#include "nic/verifier/verified_program.h"
#include "pagetable/builtin.h"
#include "pagetable/protocol.h"
#include "tests/unit/pagetable/test_pool.h"
#ifdef TIARA_RTL_ENGINE
#include "nic/rtl/rtl_engine.h"
#endif

namespace tiara::pagetable {

inline const nic::VerifiedProgram& builtin(std::string_view name) {
  static const auto* programs = [] {
    auto* made = new std::map<std::string, nic::VerifiedProgram, std::less<>>;
    for (const nic::BuiltinOperator& each : builtin_operators()) {
      auto program = nic::deserialize(each.container);
      if (!program) std::abort();
      auto verified = nic::verify(std::move(*program));
      if (!verified) std::abort();
      made->emplace(each.name, std::move(*verified));
    }
    return made;
  }();
  return programs->find(name)->second;
}

// One for all tests and all nodes: the NIC is one chip.
inline std::shared_ptr<nic::Engine> test_engine() {
#ifdef TIARA_RTL_ENGINE
  static const auto engine = std::make_shared<nic::rtl::RtlEngine>();
#else
  static const auto engine = std::make_shared<nic::Interpreter>();
#endif
  return engine;
}

// How many of a long test's random steps are taken: all of them; on the NIC in simulation, some ten thousand times
// slower, one of 50, or as many as TIARA_TEST_SHARE says (1: all).
inline uint64_t steps_of(uint64_t all) {
#ifdef TIARA_RTL_ENGINE
  static const uint64_t share = [] {
    const char* const text = std::getenv("TIARA_TEST_SHARE");
    return text == nullptr ? uint64_t{50} : std::max<uint64_t>(1, std::strtoull(text, nullptr, 10));
  }();
  return std::max<uint64_t>(1, all / share);
#else
  return all;
#endif
}

inline constexpr size_t kReplyRoom = 64 * kPageSize;

inline nic::Outcome run(TestPool& pool, uint32_t space, std::string_view name,
                        std::vector<uint64_t> arguments, std::span<const std::byte> payload = {},
                        std::span<std::byte> reply = {}) {
  const nic::RegionTable all = pool.regions(space);
  const nic::Program& program = builtin(name).program();
  nic::RegionTable bound{};
  for (size_t i = 0; i < program.regions.size(); ++i)
    bound[i] = program.regions[i].name == "pool"    ? all[0]
               : program.regions[i].name == "space" ? all[1]
               : program.regions[i].name == "alloc" ? all[2]
                                                    : all[3];
  return test_engine()->run(builtin(name), {bound, arguments, payload, reply});
}

// A page's content says which page it is and which write made it: word i is a mix of all three.
inline uint64_t content_word(uint64_t page, uint64_t version, uint64_t i) {
  uint64_t x = page * 0x9e3779b97f4a7c15 + version * 0xc2b2ae3d27d4eb4f + i * 0x165667b19e3779f9;
  x ^= x >> 29;
  return x | 1;
}
inline void fill_page(std::byte* out, uint64_t page, uint64_t version) {
  for (uint64_t i = 0; i < kPageSize / 8; ++i) {
    const uint64_t word = content_word(page, version, i);
    std::memcpy(out + i * 8, &word, 8);
  }
}
inline bool is_page(const std::byte* bytes, uint64_t page, uint64_t version) {
  for (uint64_t i = 0; i < kPageSize / 8; ++i) {
    uint64_t word;
    std::memcpy(&word, bytes + i * 8, 8);
    if (word != content_word(page, version, i)) return false;
  }
  return true;
}

// One invocation each, with contents made and checked by the functions above.
inline nic::Outcome write_pages(TestPool& pool, uint32_t space, uint64_t first, uint64_t bitmap,
                                uint64_t version) {
  std::vector<std::byte> payload;
  for (uint64_t rest = bitmap; rest != 0; rest &= rest - 1) {
    payload.resize(payload.size() + kPageSize);
    fill_page(payload.data() + payload.size() - kPageSize,
              first + static_cast<uint64_t>(__builtin_ctzll(rest)), version);
  }
  return run(pool, space, "pt_write", {first, bitmap}, payload);
}

struct ReadPages {
  nic::Outcome outcome;
  std::vector<std::byte> bytes;
};
inline ReadPages read_pages(TestPool& pool, uint32_t space, uint64_t first, uint64_t bitmap) {
  ReadPages result{{}, std::vector<std::byte>(kReplyRoom)};
  result.outcome = run(pool, space, "pt_read", {first, bitmap}, {}, result.bytes);
  return result;
}

}  // namespace tiara::pagetable
