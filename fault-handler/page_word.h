// The state of one far page in one atomic 32-bit word, and the only code that changes it.
//
// A word is claimed (kBusy) by compare-and-swap from the exact value that was seen, and only its owner moves the
// page or changes its state; everybody else waits on the word. So a fetch in flight can never bring old bytes back
// after a discard, and no state is acted upon that is not owned. Legal changes stand in one table (page_word.cc).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace tiara::fault {

enum class PageState : uint32_t {
  kUntouched = 0,  // reads as zeros; no bytes anywhere (zeroed words are a fresh directory)
  kFetching,       // its owner is bringing it in
  kResident,       // mapped
  kStaged,         // unmapped and frozen, its bytes still in this process's staging range
  kWritingBack,    // staged, and a write to the node may be in flight
  kRemote,         // only the node has it
  kPoisoned,       // its bytes are lost for good; touching it ends the process
};
inline constexpr uint32_t kPageStates = 7;
const char* to_string(PageState state);

enum PageFlag : uint32_t {
  kBusy = 1u << 3,       // some thread owns the page
  kWaiters = 1u << 4,    // somebody sleeps on this word: release wakes them
  kHasFrame = 1u << 5,   // the node holds a frame for it (its content is the recorded hash's)
  kNear = 1u << 6,       // locked by the program: never evicted
  kProtected = 1u << 7,  // not readable and writable: cannot be moved (MOVE wants equal protections)
  kForeign = 1u << 8,    // the program mapped something of its own here
  kWriting = 1u << 9,    // a write to the node is in flight, whatever the state: no second write may start
};

// One value of a word. Layout: [2:0] state, [9:3] flags, [31:16] generation (counts changes of state).
class PageWord {
 public:
  constexpr PageWord() = default;
  constexpr explicit PageWord(uint32_t raw) : raw_(raw) {}
  constexpr uint32_t raw() const { return raw_; }
  constexpr PageState state() const { return static_cast<PageState>(raw_ & kStateMask); }
  constexpr bool has(uint32_t flags) const { return (raw_ & flags) != 0; }
  constexpr PageWord with(uint32_t flags) const { return PageWord(raw_ | flags); }
  constexpr PageWord without(uint32_t flags) const { return PageWord(raw_ & ~flags); }
  constexpr PageWord in(PageState state) const {
    const uint32_t generation = this->state() == state ? 0 : kGenerationStep;
    return PageWord(((raw_ & ~kStateMask) | static_cast<uint32_t>(state)) + generation);
  }
  constexpr uint16_t generation() const { return static_cast<uint16_t>(raw_ >> 16); }
  friend constexpr bool operator==(PageWord, PageWord) = default;

 private:
  static constexpr uint32_t kStateMask = 7;
  static constexpr uint32_t kGenerationStep = 1u << 16;
  uint32_t raw_ = 0;
};

bool is_legal(PageState from, PageState to);

using AtomicPageWord = std::atomic<uint32_t>;

inline PageWord load(const AtomicPageWord& word) {
  // Acquires from release(): whoever sees a state also sees what its last owner did to the page. Sequentially
  // consistent for pins and queue marks; a plain load on x86-64 either way.
  return PageWord(word.load(std::memory_order_seq_cst));
}

// Makes the caller the owner: seen → seen in state `to`, busy. `seen` must not be busy. False when the word has
// changed meanwhile. On success the owner's view of the word is returned.
[[nodiscard]] std::optional<PageWord> try_claim(AtomicPageWord& word, PageWord seen, PageState to);
[[nodiscard]] inline std::optional<PageWord> try_claim(AtomicPageWord& word, PageWord seen) {
  return try_claim(word, seen, seen.state());
}

// The owner gives the page up in the state and with the flags of `next`, and wakes whoever waits.
void release(AtomicPageWord& word, PageWord owned, PageWord next);

// Waits, at most `kWaitSlice`, until the word is no longer `seen` (spins first, then sleeps).
void wait_for_change(AtomicPageWord& word, PageWord seen);

// Claims the word whatever its (unowned) state, once none of `unwanted` flags is set: waits for owners.
PageWord claim_slow(AtomicPageWord& word, uint32_t unwanted = 0);

}  // namespace tiara::fault
