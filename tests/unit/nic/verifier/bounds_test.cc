// Proved bounds are those of the dearest path, taken on the tree of loops: exact where the program's shape
// says so.
#include "tests/unit/nic/verifier/programs.h"

namespace tiara::nic {
using namespace testing;

TEST_CASE("steps of straight code are counted one by one") {
  CHECK(accepted("li r2, 1\nli r3, 2\nret 0\n").bounds.steps == 3);
}

TEST_CASE("a branch costs its dearer side, not the sum") {
  const Bounds bounds = accepted(R"(
  beq any, 0, cheap
  ld8 r2, pool[0]
  ld8 r2, pool[8]
  j end
cheap:
  ld8 r2, pool[16]
end:
  ret 0
)")
                            .bounds;
  CHECK(bounds.steps == 5);
  CHECK(bounds.loads == 2);
}

TEST_CASE("a loop costs its body times the smaller of declared bound and largest trip count") {
  // loop, then per round ld8 + endloop, then ret
  CHECK(accepted("loop r2, n, 1000 {\nld8 r3, pool[0]\n}\nret 0\n").bounds.steps == 1 + 100 * 2 + 1);
  CHECK(accepted("loop r2, any, 1000 {\nld8 r3, pool[0]\n}\nret 0\n").bounds.steps == 1 + 1000 * 2 + 1);
  CHECK(accepted("li r4, 3\nloop r2, r4, 1000 {\nld8 r3, pool[0]\n}\nret 0\n").bounds.loads == 3);
}

TEST_CASE("nested loops multiply") {
  const Bounds bounds = accepted(R"(
  li r4, 10
  loop r2, r4, 10 {
    loop r3, n, 50 {
      faa r5, pool[0], r3
    }
  }
  ret 0
)")
                            .bounds;
  CHECK(bounds.atomics == 500);
  CHECK(bounds.steps == 2 + 10 * (1 + 50 * 2 + 1) + 1);
}

TEST_CASE("what stands only on the way out of a loop is paid once") {
  const Bounds bounds = accepted(R"(
  loop r2, n, 64 {
    ld8 r3, pool[0]
    bne r3, any, next
    st8 pool[8], r3
    st8 pool[16], r3
    break
next:
    mov r4, r3
  }
  ret 0
)")
                            .bounds;
  CHECK(bounds.loads == 64);
  CHECK(bounds.stores == 2);
}

TEST_CASE("a branch out of a loop has paid for every round before it") {
  const Bounds bounds = accepted(R"(
  loop r2, n, 64 {
    ld8 r3, pool[0]
    beq r3, any, found
  }
  ret 0
found:
  ld8 r3, pool[8]
  ret 0
)").bounds;
  CHECK(bounds.loads == 64 + 1);
}

TEST_CASE("a loop that always leaves in its first round costs one round") {
  CHECK(accepted("loop r2, n, 64 {\nld8 r3, pool[0]\nbreak\n}\nret 0\n").bounds.loads == 1);
  CHECK(accepted("loop r2, n, 64 {\nld8 r3, pool[0]\nret 0\n}\nret 0\n").bounds.loads == 1);
}

TEST_CASE("leaving two loops at once carries the cost of both") {
  const Bounds bounds = accepted(R"(
  li r4, 8
  loop r2, r4, 8 {
    ld8 r5, pool[0]
    loop r3, r4, 8 {
      ld8 r6, pool[8]
      bne r6, any, next
      st8 pool[16], r6
      break 2
next:
      mov r7, r6
    }
  }
  ret 0
)")
                            .bounds;
  CHECK(bounds.stores == 1);
  CHECK(bounds.loads == 8 + 64);
}

TEST_CASE("a path that no run can take costs nothing") {
  const Bounds bounds = accepted(R"(
  bltu n, 101, fine
  loop r2, any, 100000 {
    ld8 r3, pool[0]
  }
fine:
  ret 0
)")
                            .bounds;
  CHECK(bounds.steps == 2);
}

TEST_CASE("reply and moved bytes follow the lengths' largest values") {
  const Bounds bounds = accepted(R"(
  min r2, any, 256
  loop r3, n, 4 {
    gather pool[r3], r2
    emit r3
  }
  ret 0
)")
                            .bounds;
  CHECK(bounds.reply_bytes == 4 * (256 + 8));
  CHECK(bounds.bytes_moved == 4 * 256);
  CHECK(bounds.bulk_operations == 4);
}

TEST_CASE("copies in flight are those since the last wait") {
  CHECK(accepted("li r2, 8\nfill pool[0], r2, r2\nfill pool[8], r2, r2\nwait\nfill pool[0], r2, r2\nret 0\n")
            .bounds.in_flight == 2);
  CHECK(accepted("li r2, 8\nloop r3, n, 50 {\nfill pool[0], r2, r2\n}\nret 0\n").bounds.in_flight == 50);
  CHECK(accepted("li r2, 8\nloop r3, n, 50 {\nfill pool[0], r2, r2\nwait\n}\nret 0\n").bounds.in_flight == 1);
  // A wait that a branch can skip bounds nothing.
  CHECK(accepted("li r2, 8\nloop r3, n, 50 {\nfill pool[0], r2, r2\nbeq any, 0, over\nwait\nover:\nmov r4, "
                 "r2\n}\nret 0\n")
            .bounds.in_flight == 50);
  // Two started before the loop, one in each round after a wait.
  CHECK(accepted("li r2, 8\nfill pool[0], r2, r2\nfill pool[0], r2, r2\nloop r3, n, 50 {\nfill pool[0], r2, "
                 "r2\nwait\n}\nret 0\n")
            .bounds.in_flight == 3);
  // Two started before the loop, and nobody waits.
  CHECK(accepted("li r2, 8\nfill pool[0], r2, r2\nfill pool[0], r2, r2\nloop r3, n, 50 {\nfill pool[0], r2, "
                 "r2\n}\nret 0\n")
            .bounds.in_flight == 52);
}

TEST_CASE("worst-case time charges each class what the device says") {
  DeviceConstants device;
  device.instruction_ps[static_cast<size_t>(CostClass::kLoad)] = 1000;
  const auto program = verify(program_of("loop r2, n, 64 {\nld8 r3, pool[0]\n}\nret 0\n"));
  REQUIRE(program);
  CHECK(program->worst_case_ps(device) == 64'000);
  CHECK(program->worst_case_ps(fpga_over_pcie()) > 64 * 750'000);
}

}  // namespace tiara::nic
