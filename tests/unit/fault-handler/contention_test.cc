#include "fault-handler/contention.h"

#include <catch2/catch.hpp>

namespace tiara::fault {
namespace {

using pagetable::StoreStatus;

// Answers "contended" `left` times, then `last`; counts.
struct Node {
  int left;
  StoreStatus last;
  int calls = 0;
  StoreStatus operator()() noexcept {
    ++calls;
    return left-- > 0 ? StoreStatus::kContended : last;
  }
};

constexpr os::Nanoseconds kHour = std::chrono::hours(1);

}  // namespace

TEST_CASE("a node that is not contended is asked once") {
  for (const StoreStatus status : {StoreStatus::kOk, StoreStatus::kNodeFull, StoreStatus::kNodeLost}) {
    Node node{0, status};
    CHECK(retry_contended(kHour, node) == status);
    CHECK(node.calls == 1);
  }
}

TEST_CASE("a contended node is asked again until it answers, within the bound") {
  Node node{1000, StoreStatus::kOk};
  CHECK(retry_contended(kHour, node) == StoreStatus::kOk);
  CHECK(node.calls == 1001);
}

TEST_CASE("a node that stays contended is given up when the bound is over") {
  Node node{1'000'000'000, StoreStatus::kOk};
  CHECK(retry_contended(os::Nanoseconds{0}, node) == StoreStatus::kContended);
  CHECK(node.calls == 2);
  CHECK(retry_contended(std::chrono::milliseconds(1), node) == StoreStatus::kContended);
  CHECK(node.left > 0);
}

}  // namespace tiara::fault
