// The one place that knows which page store a process gets: a far page table behind a channel to its node.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "pagetable/page_store.h"
#include "runtime/base/config.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::residency {

// Opaque: owns the channel and the store. Never destroyed once a FarMemory uses it.
class StoreConnection {
 public:
  virtual ~StoreConnection() = default;
  virtual pagetable::PageStore& store() noexcept = 0;
  virtual PageCount max_pages() const noexcept = 0;
  // Descriptors of the connection, which the program must not close; empty for loop:.
  virtual std::span<const int> descriptors() const noexcept = 0;
};

// Connects to config.node and makes an address space there.
Result<std::unique_ptr<StoreConnection>> make_store(const Config& config);

}  // namespace tiara::residency
