// A record of the pages that arrived, in order, in a file that `tiara run --trace` makes: what eviction policies are
// judged on. With little local memory nearly every first use of a page after a moment is an
// arrival, so that the record is the program's page references with only the shortest repetitions left out.
//
// File: one Header, then `capacity` records of 4 bytes: page number << 2 | Arrival. Records beyond the capacity are
// counted and not kept. One process writes: the first that claims the file.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "fault-handler/pager_parts.h"
#include "runtime/os/memory.h"

namespace tiara::residency {

class PageTrace {
 public:
  static constexpr uint64_t kMagic = 0x3145434152544154;  // "TATRACE1", read as a little-endian word
  struct Header {
    uint64_t magic;
    uint64_t capacity;             // records
    std::atomic<uint64_t> count;   // arrivals so far; more than `capacity`: the last ones are missing
    std::atomic<int32_t> owner;    // the process whose arrivals these are; 0: nobody's yet
    uint32_t reserved;
  };
  static_assert(sizeof(Header) == 32);

  // Makes an empty file for at most `capacity` records. Sparse: it takes room for what is recorded.
  static Result<void> make_file(const std::string& path, uint64_t capacity);
  // For the recording process. nullopt when another process records into the file already.
  static Result<PageTrace> open(const std::string& path);
  // Ends recording: the file keeps what is recorded and no more. Returns the records that did not fit.
  static Result<uint64_t> finish_file(const std::string& path);

  struct Record {
    PageNumber page;
    fault::Arrival how = fault::Arrival::kNew;
  };
  // A whole file; every record is checked.
  static Result<std::vector<Record>> read_file(const std::string& path);

  // Any thread; a store and an addition.
  void record(PageNumber page, fault::Arrival how) noexcept;

  PageTrace() = default;
  PageTrace(PageTrace&& other) noexcept
      : memory_(std::move(other.memory_)), header_(std::exchange(other.header_, nullptr)), records_(other.records_) {}
  PageTrace& operator=(PageTrace&& other) noexcept {
    memory_ = std::move(other.memory_);
    header_ = std::exchange(other.header_, nullptr);
    records_ = other.records_;
    return *this;
  }
  bool is_recording() const noexcept { return header_ != nullptr; }

 private:
  explicit PageTrace(os::Mapping memory)
      : memory_(std::move(memory)), header_(reinterpret_cast<Header*>(memory_.data())),
        records_(reinterpret_cast<std::atomic<uint32_t>*>(memory_.data() + sizeof(Header))) {}
  os::Mapping memory_;
  Header* header_ = nullptr;  // nullptr: not recording
  std::atomic<uint32_t>* records_ = nullptr;
};

}  // namespace tiara::residency
