#include <catch2/catch.hpp>

#include "runtime/residency/page_heat.h"

using namespace tiara;
using namespace tiara::residency;

namespace {

constexpr uint64_t kResident = 800;  // an eighth is 100

struct Heat {
  PageHeat heat = *PageHeat::create(PageCount{100'000});
  uint64_t next_other = 1000;
  void leave(PageNumber page) { heat.left(page, kResident); }
  void others_leave(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) leave(PageNumber{next_other++});
  }
  void leave_and_return_soon(PageNumber page) {
    leave(page);
    heat.returned(page);
  }
  uint32_t rounds_that_stays(PageNumber page) {
    uint32_t rounds = 0;
    while (heat.stays(page)) ++rounds;
    return rounds;
  }
};

}  // namespace

TEST_CASE("a page that never left, or came back once, leaves when its turn comes") {
  Heat heat;
  const PageNumber page{7};
  CHECK(heat.rounds_that_stays(page) == 0);
  heat.heat.returned(page);
  CHECK(heat.rounds_that_stays(page) == 0);
  heat.leave_and_return_soon(page);
  CHECK(heat.rounds_that_stays(page) == 0);
}

TEST_CASE("a page that keeps coming back soon stays for up to seven rounds") {
  Heat heat;
  const PageNumber page{7};
  heat.leave_and_return_soon(page);
  heat.leave_and_return_soon(page);
  CHECK(heat.rounds_that_stays(page) == 4);
  for (int i = 0; i < 10; ++i) {
    heat.leave_and_return_soon(page);
    CHECK(heat.rounds_that_stays(page) >= 6);
  }
}

TEST_CASE("a page that stays away for long again and again is as cold as it was") {
  Heat heat;
  const PageNumber page{7};
  for (int i = 0; i < 3; ++i) heat.leave_and_return_soon(page);
  const auto return_late = [&] {
    heat.leave(page);
    heat.others_leave(kResident);
    heat.heat.returned(page);
    return heat.rounds_that_stays(page);
  };
  CHECK(return_late() == 4);
  CHECK(return_late() == 0);
  CHECK(return_late() == 0);
  heat.leave_and_return_soon(page);
  CHECK(heat.rounds_that_stays(page) == 0);
}

TEST_CASE("what comes to a discarded page's place is another page") {
  Heat heat;
  const PageNumber page{7};
  for (int i = 0; i < 3; ++i) heat.leave_and_return_soon(page);
  heat.heat.forget(page);
  CHECK(heat.rounds_that_stays(page) == 0);
}

TEST_CASE("a scan heats nothing") {
  Heat heat;
  for (uint64_t pass = 0; pass < 3; ++pass)
    for (uint64_t page = 0; page < 4 * kResident; ++page) {
      heat.heat.returned(PageNumber{page});
      CHECK_FALSE(heat.heat.stays(PageNumber{page}));
      if (page >= kResident) heat.leave(PageNumber{page - kResident});
    }
}
