// The one place that knows which page store a process gets: a far page table behind a channel to its node.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

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
  // Descriptors of the connection, which the program must not close.
  virtual std::span<const int> descriptors() const noexcept = 0;

  // The process is about to end (nic::Channel::let_go).
  virtual void let_go() noexcept {}

  // --- fork: prepare_child() and then one of after_fork_in_parent() and connect_in_child(), on both sides ---

  // While nobody writes to the store: copies it, in constant time, for the child that is about to be made.
  virtual Result<void> prepare_child() = 0;
  // Also when there is no child after all.
  virtual void after_fork_in_parent() noexcept = 0;
  // A connection of the child's own to its copy; this one is the parent's and is left alone from now on.
  virtual Result<std::unique_ptr<StoreConnection>> connect_in_child() = 0;
  // One of descriptors() that the child goes on using.
  virtual bool is_shared_with_child(int) const noexcept { return false; }
  // About once a second, in a thread of the runtime: takes back what processes left that have ended.
  virtual void keep_house() noexcept {}
};

// What config.node asks for: the first line of config.token_file, or the variable TIARA_TOKEN; empty where neither is.
Result<std::string> read_token(const Config& config);

// Connects to config.node and makes an address space there.
Result<std::unique_ptr<StoreConnection>> make_store(const Config& config);

}  // namespace tiara::residency
