#include "runtime/residency/store.h"

#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "nic/transport/connect.h"
#include "pagetable/builtin.h"
#include "pagetable/remote_page_table.h"
#include "runtime/os/unique_fd.h"
#include "runtime/residency/embedded_store.h"

namespace tiara::residency {
namespace {

// A node in another process: it hands its copies of address spaces to whoever brings their ticket.
class ChannelConnection final : public StoreConnection {
 public:
  static Result<std::unique_ptr<StoreConnection>> connect(const Config& config, const std::string& token,
                                                          const nic::ClonedSpace* clone) {
    nic::ConnectOptions options;
    options.token = token;
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
    return std::make_unique<ChannelConnection>(config, token, std::move(channel), std::move(table));
  }

  ChannelConnection(const Config& config, std::string token, std::unique_ptr<nic::Channel> channel,
                    std::unique_ptr<pagetable::RemotePageTable> table)
      : config_(config), token_(std::move(token)), channel_(std::move(channel)), table_(std::move(table)),
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
  Result<std::unique_ptr<StoreConnection>> connect_in_child() override { return connect(config_, token_, &clone_); }

 private:
  const Config config_;
  const std::string token_;  // a forked child may have given up the privileges that its file needs
  std::unique_ptr<nic::Channel> channel_;
  std::unique_ptr<pagetable::RemotePageTable> table_;
  const std::vector<int> descriptors_;
  nic::ClonedSpace clone_;
};

}  // namespace

Result<std::string> read_token(const Config& config) {
  if (config.token_file.empty()) {
    const char* const token = getenv("TIARA_TOKEN");
    return std::string(token != nullptr ? token : "");
  }
  const std::string what = config.token_file + ", the token file; see --token-file";
  const UniqueFd file(static_cast<int>(syscall(SYS_openat, AT_FDCWD, config.token_file.c_str(), O_RDONLY | O_CLOEXEC)));
  if (!file.is_open()) return std::unexpected(system_error("open", what));
  char text[1024];  // a node refuses tokens of more than 256 bytes
  const long length = syscall(SYS_read, file.get(), text, sizeof text);
  if (length < 0) return std::unexpected(system_error("read", what));
  const std::string_view line(text, static_cast<size_t>(length));
  return std::string(line.substr(0, line.find('\n')));
}

Result<std::unique_ptr<StoreConnection>> make_store(const Config& config) {
  // The loop transport runs operators in the calling thread: nobody is waited for.
  if (config.node == "loop:") return make_embedded_store(config);
  TIARA_TRY(const std::string token, read_token(config));
  return ChannelConnection::connect(config, token, nullptr);
}

}  // namespace tiara::residency
