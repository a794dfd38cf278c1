// Over real verbs (tests/vm/run rdma): the operator costs one SEND and one answer at every depth of the table, the
// one-sided walk a READ for each level and one for the page.
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <random>
#include <unistd.h>

#include "nic/node/server.h"
#include "nic/transport/rdma_channel.h"
#include "pagetable/baseline.h"
#include "pagetable/builtin.h"
#include "pagetable/remote_page_table.h"
#include "tests/unit/pagetable/operators.h"

namespace tiara::pagetable {
namespace {

// What the device itself has counted.
uint64_t device_count(const char* name) {
  usleep(50'000);  // sleep: the kernel looks at the device's counters every 12 ms (their `lifespan`)
  std::ifstream file(std::string("/sys/class/infiniband/rxe0/ports/1/hw_counters/") + name);
  uint64_t value = 0;
  REQUIRE(file >> value);
  return value;
}

struct RdmaSetup {
  std::shared_ptr<nic::MemoryNode> node;
  std::unique_ptr<nic::NodeServer> server;
  std::unique_ptr<nic::RdmaChannel> channel;
  std::unique_ptr<RemotePageTable> table;
  std::vector<uint64_t> pages;

  explicit RdmaSetup(uint32_t levels) {
    nic::NodeConfig config;
    config.pool.size = {16 * kMiB};
    config.pool.levels = levels;
    config.allows_one_sided = true;
    auto made = nic::MemoryNode::create(config, builtin_operators());
    REQUIRE(made);
    node = std::move(*made);
    const char* const address = std::getenv("TIARA_TEST_RDMA_ADDRESS");
    REQUIRE(address != nullptr);
    auto serving = nic::serve(std::string("rdma://") + address + ":0", *node, {});
    if (!serving) FAIL(serving.error().message);
    server = std::move(*serving);
    auto connected = nic::RdmaChannel::connect(server->url().substr(7), {});
    if (!connected) FAIL(connected.error().message);
    channel = std::move(*connected);
    const uint64_t limit = nic::pool::max_pages_for(levels);
    table = std::move(*RemotePageTable::create(*channel, {limit}, Completion::kAtNode));
    std::mt19937_64 random(levels);
    for (int i = 0; i < 50; ++i) {
      pages.push_back(random() % limit);
      std::vector<std::byte> bytes(kPageSize);
      fill_page(bytes.data(), pages.back(), 1);
      const std::array<const std::byte*, 1> one{bytes.data()};
      REQUIRE(table->write({{pages.back()}, 1}, one) == StoreStatus::kOk);
    }
  }
};

}  // namespace

TEST_CASE("rdma: a miss is one SEND and one answer at every depth, a one-sided walk depth + 1 READs", "[.rdma]") {
  for (uint32_t levels = 1; levels <= nic::pool::kMaxLevels; ++levels) {
    RdmaSetup setup(levels);
    auto reader = OneSidedReader::create(*setup.channel, setup.table->space());
    REQUIRE(reader);
    std::array<std::byte, kPageSize> out;
    const uint64_t device_sends = device_count("rdma_sends"), device_receives = device_count("rdma_recvs");
    for (const uint64_t page : setup.pages) {
      const nic::verbs::WorkCounts before = setup.channel->counts();
      CHECK(setup.table->read({{page}, 1}, out).present == 1);
      const nic::verbs::WorkCounts walked = setup.channel->counts();
      CHECK(is_page(out.data(), page, 1));
      CHECK(walked.sends - before.sends == 1);
      CHECK(walked.arrivals - before.arrivals == 1);
      CHECK(walked.reads == before.reads);
      out.fill({});
      CHECK(reader->read({page}, out).present == 1);
      const nic::verbs::WorkCounts read = setup.channel->counts();
      CHECK(is_page(out.data(), page, 1));
      CHECK(read.reads - walked.reads == levels + 1);
      CHECK(read.sends == walked.sends);
      CHECK(read.arrivals == walked.arrivals);
    }
    // The device's figures are of both ends: a SEND comes in at the node, its answer at the client, a READ at nobody.
    CHECK(device_count("rdma_sends") - device_sends == setup.pages.size());
    CHECK(device_count("rdma_recvs") - device_receives == 2 * setup.pages.size());
    WARN(levels << (levels == 1 ? " level: " : " levels: ") << "a miss 1 SEND, 1 answer; one-sided " << levels + 1
                << " READs; " << setup.pages.size() << " pages");
  }
}

}  // namespace tiara::pagetable
