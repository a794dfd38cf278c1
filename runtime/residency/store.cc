#include "runtime/residency/store.h"

#include <vector>

#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/remote_page_table.h"
#include "runtime/residency/embedded_store.h"

namespace tiara::residency {
namespace {

// A node in another process: it hands its copies of address spaces to whoever brings their ticket.
class ChannelConnection final : public StoreConnection {
 public:
  static Result<std::unique_ptr<StoreConnection>> connect(const Config& config, const nic::ClonedSpace* clone) {
    nic::ConnectOptions options;
    options.node_timeout = config.node_timeout;
    if (!config.inject.empty()) {
      TIARA_TRY(options.faults, nic::parse_fault_plan(config.inject));
    }
    TIARA_TRY(std::unique_ptr<nic::Channel> channel, nic::connect(config.node, options));
    TIARA_TRY(const nic::NodeInfo info, channel->info());
    constexpr auto kCompletion = pagetable::Completion::kAtNode;
    const PageCount max_pages{info.max_pages};
    std::unique_ptr<pagetable::RemotePageTable> table;
    if (clone == nullptr) {
      TIARA_TRY(table, pagetable::RemotePageTable::create(*channel, max_pages, kCompletion));
    } else {
      TIARA_TRY(table, pagetable::RemotePageTable::adopt(*channel, *clone, max_pages, kCompletion));
    }
    return std::make_unique<ChannelConnection>(config, std::move(channel), std::move(table));
  }

  ChannelConnection(const Config& config, std::unique_ptr<nic::Channel> channel,
                    std::unique_ptr<pagetable::RemotePageTable> table)
      : config_(config), channel_(std::move(channel)), table_(std::move(table)),
        descriptors_(channel_->descriptors()) {}

  pagetable::PageStore& store() noexcept override { return *table_; }
  PageCount max_pages() const noexcept override { return table_->max_pages(); }
  std::span<const int> descriptors() const noexcept override { return descriptors_; }
  void let_go() noexcept override { channel_->let_go(); }

  Result<void> prepare_child() override {
    TIARA_TRY(clone_, table_->clone(nic::CloneKind::kClone));
    return {};
  }
  // A clone that no child came for stays with this connection and ends with it: a fork that failed is rare, and a
  // child may be slow to come.
  void after_fork_in_parent() noexcept override {}
  Result<std::unique_ptr<StoreConnection>> connect_in_child() override { return connect(config_, &clone_); }

 private:
  const Config config_;
  std::unique_ptr<nic::Channel> channel_;
  std::unique_ptr<pagetable::RemotePageTable> table_;
  const std::vector<int> descriptors_;
  nic::ClonedSpace clone_;
};

}  // namespace

Result<std::unique_ptr<StoreConnection>> make_store(const Config& config) {
  // The loop transport runs operators in the calling thread: nobody is waited for.
  if (config.node == "loop:") return make_embedded_store(config);
  return ChannelConnection::connect(config, nullptr);
}

}  // namespace tiara::residency
