// Two shared segments of the shm transport.
//
// The *segment* belongs to one session (one connection): submission words, and per slot a completion word, the two
// frames and areas for payload and gathered bytes. It is a sealed memfd (nobody can shrink it under the other) that
// both sides can write, so neither side believes anything it reads there: frames are copied out before they are
// decoded, slot numbers are bit positions, lengths are held to the areas.
//
// The *board* belongs to the node and clients map it read-only: it says which worker is awake, and where.
//
// Life of a request: the client takes a slot (its own private bitmap), writes payload and invocation, sets `state` to
// kSubmitted, sets the slot's bit in a submission word, and rings the doorbell (an eventfd) if its worker sleeps. The
// worker takes the bit, copies and decodes the frame, runs the operator, writes the reply frame, exchanges `state`
// for kDone and wakes the client if it had gone to sleep on it.
//
// Submission words instead of a ring of slot numbers: a bit cannot be malformed, overflow or be submitted twice, any
// thread submits with one instruction, and requests have no order to keep.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "nic/wire/frame.h"
#include "nic/wire/types.h"
#include "runtime/base/units.h"

namespace tiara::nic::wire {

inline constexpr uint32_t kShmMagic = 0x4d534954;  // "TISM"
inline constexpr uint32_t kShmVersion = 1;         // bumped with every change of layout
inline constexpr uint32_t kMaxSlots = 64;          // bits of a submission word
inline constexpr uint32_t kDefaultSlots = 32;
inline constexpr uint32_t kMinSlots = 4;
inline constexpr uint32_t kMaxWorkers = 64;

// Somebody waits for a call; nobody waits (yet) for a posted one. The node serves calls first.
enum class Lane : uint8_t { kCall = 0, kPosted = 1 };
inline constexpr uint32_t kLanes = 2;

enum class SlotState : uint32_t {
  kIdle = 0,
  kSubmitted = 1,  // the client looks at the word now and then
  kAwaited = 2,    // the client sleeps on the word: wake it
  kDone = 3,
};

struct SegmentHeader {
  uint32_t magic;
  uint32_t version;
  uint32_t slots;
  uint32_t zero;
  alignas(64) std::array<std::atomic<uint64_t>,
                         kLanes> submitted;  // one line: the worker polls both with one load miss
  // When the client last rang the doorbell (CLOCK_MONOTONIC, ns): tells the worker how long it really had nothing to
  // do, its own waking up left out. Only ever tunes how long it spins.
  alignas(64) std::atomic<uint64_t> rung_at;
};

struct alignas(64) SegmentSlot {
  std::atomic<uint32_t> state;    // SlotState; a shared futex
  std::atomic<uint32_t> cpu;      // where the client submitted it: a worker there makes way for the client
  std::atomic<uint64_t> done_at;  // set before a sleeper is woken, for the same purpose as rung_at; else 0
  alignas(64) std::array<std::byte, kFrameBytes> invocation;
  std::array<std::byte, kFrameBytes> reply;
};

struct BoardLine {
  // Not 0: the worker sleeps, or is about to: ring. Partner of the submission words: the client sets its bit and then
  // reads this, the worker sets this and then reads the bits (both sequentially consistent), so one of them sees.
  std::atomic<uint32_t> asleep;
  std::atomic<uint32_t> cpu;  // where it last ran: a client on the same CPU makes way instead of spinning
  uint32_t zero[14];
};

struct Board {
  uint32_t magic;
  uint32_t version;
  uint32_t workers;
  uint32_t zero;
  alignas(64) std::array<BoardLine, kMaxWorkers> lines;
};

// Areas are whole pages at fixed places; untouched ones cost nothing, because the memfd is sparse.
inline constexpr uint64_t kSlotsOffset = kPageSize;
inline constexpr uint64_t kAreasOffset = kSlotsOffset + round_up(kMaxSlots * sizeof(SegmentSlot), kPageSize);
inline constexpr uint64_t kAreaBytes = kMaxPayloadBytes + kMaxReplyBytes;

constexpr uint64_t payload_offset(uint32_t slot) { return kAreasOffset + slot * kAreaBytes; }
constexpr uint64_t reply_offset(uint32_t slot) { return payload_offset(slot) + kMaxPayloadBytes; }
constexpr uint64_t segment_bytes(uint32_t slots) { return kAreasOffset + slots * kAreaBytes; }
inline constexpr uint64_t kBoardBytes = round_up(sizeof(Board), kPageSize);

static_assert(sizeof(SegmentHeader) <= kPageSize && sizeof(SegmentSlot) == 5 * 64);
static_assert(sizeof(BoardLine) == 64, "a worker's word shares its line with nobody");
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

}  // namespace tiara::nic::wire
