#include "runtime/residency/store.h"

#include <vector>

#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/remote_page_table.h"

namespace tiara::residency {
namespace {

class ChannelConnection final : public StoreConnection {
 public:
  ChannelConnection(std::unique_ptr<nic::Channel> channel, std::unique_ptr<pagetable::RemotePageTable> table)
      : channel_(std::move(channel)), table_(std::move(table)), descriptors_(channel_->descriptors()) {}

  pagetable::PageStore& store() noexcept override { return *table_; }
  PageCount max_pages() const noexcept override { return table_->max_pages(); }
  std::span<const int> descriptors() const noexcept override { return descriptors_; }

 private:
  std::unique_ptr<nic::Channel> channel_;
  std::unique_ptr<pagetable::RemotePageTable> table_;
  const std::vector<int> descriptors_;
};

}  // namespace

Result<std::unique_ptr<StoreConnection>> make_store(const Config& config) {
  nic::ConnectOptions options;
  options.node_timeout = config.node_timeout;
  options.embedded.pool.size = config.pool;
  options.builtins = pagetable::builtin_operators();
  TIARA_TRY(std::unique_ptr<nic::Channel> channel, nic::connect(config.node, options));
  TIARA_TRY(const nic::NodeInfo info, channel->info());
  // The loop transport runs operators in the calling thread: nobody is waited for.
  const auto completion =
      config.node.starts_with("loop:") ? pagetable::Completion::kInCaller : pagetable::Completion::kAtNode;
  TIARA_TRY(std::unique_ptr<pagetable::RemotePageTable> table,
            pagetable::RemotePageTable::create(*channel, PageCount{info.max_pages}, completion));
  return std::make_unique<ChannelConnection>(std::move(channel), std::move(table));
}

}  // namespace tiara::residency
