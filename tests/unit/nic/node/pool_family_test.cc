#include "nic/node/pool_family.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "nic/node/space_table.h"

using namespace tiara;
using namespace tiara::nic;

TEST_CASE("the space of a process that may still come for it, or that lives, is not taken back") {
  auto pool = Pool::create({Bytes{4 * kMiB}, 4, PoolBacking::kShared});
  REQUIRE(pool);
  SpaceTable spaces(*pool, Bytes{0});
  PoolFamily family(*pool);
  const SessionId owner{1};
  Tenant everyone({.name = "everyone"}, {0}, {{}, 1, pool::kMaxSpaces, 1, {}});
  const auto space = spaces.create(owner, everyone, 512);
  REQUIRE(space);
  const uint32_t own = SpaceTable::index_of(*space);
  REQUIRE(family.claim(own));
  bool is_taken_while_made = false;
  const auto clone = spaces.clone(owner, *space, CloneKind::kClone, [&](uint32_t, uint32_t) {
    is_taken_while_made = family.reap(own) != 0;
    return true;
  });
  REQUIRE(clone);
  CHECK_FALSE(is_taken_while_made);
  CHECK(family.reap(own) == 0);

  REQUIRE(pool->set_inheritable(true));
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const bool is_its_own = PoolFamily(*pool).take_over(SpaceTable::index_of(clone->space)).has_value();
    if (!is_its_own || write(ready[1], "y", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(ready[1]);
  char word = 0;
  CHECK(read(ready[0], &word, 1) == 1);
  close(ready[0]);
  CHECK(family.reap(own) == 0);
  kill(child, SIGKILL);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  CHECK(family.reap(own) == 1);
  CHECK(family.reap(own) == 0);
}
