#include "runtime/residency/embedded_store.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <vector>

#include "nic/node/memory_node.h"
#include "nic/node/pool_family.h"
#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/remote_page_table.h"
#include "runtime/base/log.h"
#include "runtime/os/clock.h"

namespace tiara::residency {
namespace {

using nic::SpaceTable;
using pagetable::RemotePageTable;

// A child takes its space over before it runs anything of its own; one that has not after this long has ended, or was
// stopped, and will be told so.
constexpr std::chrono::seconds kChildPatience{60};

nic::NodeConfig node_config(const Config& config) {
  nic::NodeConfig node;
  node.pool.size = config.pool;
  return node;
}

class EmbeddedConnection final : public StoreConnection {
 public:
  EmbeddedConnection(const Config& config, std::shared_ptr<nic::MemoryNode> node,
                     std::unique_ptr<nic::Channel> channel, std::unique_ptr<RemotePageTable> table)
      : config_(config), node_(std::move(node)), channel_(std::move(channel)), table_(std::move(table)),
        family_(node_->shared_pool()), descriptors_{node_->pool().descriptor_of_memory()} {}

  // `clone`: what the node waits to have adopted; nullptr: a fresh space.
  static Result<std::unique_ptr<EmbeddedConnection>> open(const Config& config, std::shared_ptr<nic::MemoryNode> node,
                                                          const nic::ClonedSpace* clone) {
    TIARA_TRY(std::unique_ptr<nic::Channel> channel, nic::connect_loop(node));
    if (!config.inject.empty()) {
      TIARA_TRY(const nic::FaultPlan plan, nic::parse_fault_plan(config.inject));
      channel = std::make_unique<nic::FaultInjector>(std::move(channel), plan);
    }
    const PageCount max_pages{node->pool().max_pages()};
    constexpr auto kCompletion = pagetable::Completion::kInCaller;
    std::unique_ptr<RemotePageTable> table;
    if (clone == nullptr) {
      TIARA_TRY(table, RemotePageTable::create(*channel, max_pages, kCompletion));
    } else {
      TIARA_TRY(table, RemotePageTable::adopt(*channel, *clone, max_pages, kCompletion));
    }
    return std::make_unique<EmbeddedConnection>(config, std::move(node), std::move(channel), std::move(table));
  }

  pagetable::PageStore& store() noexcept override { return *table_; }
  PageCount max_pages() const noexcept override { return table_->max_pages(); }
  std::span<const int> descriptors() const noexcept override { return descriptors_; }

  Result<void> prepare_child() override {
    const std::lock_guard lock(mutex_);
    look_after_family_locked();
    TIARA_TRY_VOID(family_.claim(own_index()));
    has_family_ = true;
    TIARA_TRY(clone_, table_->clone(nic::CloneKind::kClone));
    const uint32_t index = SpaceTable::index_of(clone_.space);
    node_->forget_space(clone_.space);
    children_.push_back({index, os::monotonic_now() + kChildPatience});
    return node_->pool().set_inheritable(true);
  }

  void after_fork_in_parent() noexcept override {
    // Of children made by a raw clone() the pager's copy must not write into the pool.
    if (!node_->pool().set_inheritable(false)) LogLine("the pool stays visible to children made by clone()").write();
  }

  Result<std::unique_ptr<StoreConnection>> connect_in_child() override {
    // Other threads may have held the mutex, and everything of the parent's objects, at the fork: none is used.
    nic::PoolFamily family(node_->shared_pool());
    TIARA_TRY_VOID(family.take_over(SpaceTable::index_of(clone_.space)));
    TIARA_TRY_VOID(node_->pool().set_inheritable(false));
    TIARA_TRY(auto node, nic::MemoryNode::create_in_child(*node_, node_config(config_),
                                                          pagetable::builtin_operators(), clone_));
    TIARA_TRY(auto connection, open(config_, std::shared_ptr<nic::MemoryNode>(std::move(node)), &clone_));
    connection->has_family_ = true;
    return connection;
  }

  bool is_shared_with_child(int descriptor) const noexcept override { return descriptor == descriptors_[0]; }

  void keep_house() noexcept override {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock.owns_lock()) look_after_family_locked();
  }

 private:
  struct Child {
    uint32_t index;
    os::Nanoseconds deadline;
  };
  uint32_t own_index() const noexcept { return SpaceTable::index_of(table_->space()); }

  void look_after_family_locked() noexcept {
    if (!has_family_) return;
    const os::Nanoseconds now = os::monotonic_now();
    std::erase_if(children_, [&](const Child& child) {
      if (now < child.deadline) return false;
      family_.give_up_child(child.index);
      return true;
    });
    (void)family_.reap(own_index());
  }

  const Config config_;
  const std::shared_ptr<nic::MemoryNode> node_;
  const std::unique_ptr<nic::Channel> channel_;
  const std::unique_ptr<RemotePageTable> table_;
  nic::PoolFamily family_;
  const std::array<int, 1> descriptors_;
  std::mutex mutex_;  // the fields below
  bool has_family_ = false;
  std::vector<Child> children_;
  nic::ClonedSpace clone_;
};

}  // namespace

Result<std::unique_ptr<StoreConnection>> make_embedded_store(const Config& config) {
  TIARA_TRY(auto node, nic::MemoryNode::create(node_config(config), pagetable::builtin_operators()));
  return EmbeddedConnection::open(config, std::shared_ptr<nic::MemoryNode>(std::move(node)), nullptr);
}

}  // namespace tiara::residency
