// The heap of a program under libtiara.so.
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <malloc.h>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "tests/preload/far.h"

TEST_CASE("The program's blocks are far, those of the C library near") {
  far::Block block(1000);
  CHECK(far::is_far(block.data()));
  char* copy = strdup("made by libc");
  CHECK_FALSE(far::is_far(copy));
  free(copy);
}

TEST_CASE("Every way to allocate gives the size and alignment that was asked for") {
  void* block = nullptr;
  REQUIRE(posix_memalign(&block, 512, 100) == 0);
  CHECK(reinterpret_cast<uintptr_t>(block) % 512 == 0);
  free(block);
  CHECK(posix_memalign(&block, 24, 100) == EINVAL);
  block = aligned_alloc(8192, 8192);
  CHECK(reinterpret_cast<uintptr_t>(block) % 8192 == 0);
  CHECK(malloc_usable_size(block) >= 8192);
  free(block);
  block = valloc(10);
  CHECK(reinterpret_cast<uintptr_t>(block) % far::kPage == 0);
  free(block);
  block = reallocarray(nullptr, 100, 10);
  CHECK(malloc_usable_size(block) >= 1000);
  volatile size_t too_many = SIZE_MAX / 2;
  CHECK(reallocarray(block, too_many, 3) == nullptr);
  free(block);
}

TEST_CASE("calloc gives zeros from memory that was dirty before") {
  for (size_t size : {100u, 5000u, 300000u, 3000000u}) {
    auto* dirty = static_cast<char*>(malloc(size));
    memset(dirty, 0x5a, size);
    free(dirty);
    auto* clean = static_cast<char*>(calloc(size, 1));
    for (size_t i = 0; i < size; ++i) REQUIRE(clean[i] == 0);
    free(clean);
  }
}

TEST_CASE("Random blocks keep their bytes while pages come and go") {
  std::mt19937 random(7);
  struct Live {
    char* bytes;
    size_t size;
    unsigned seed;
  };
  std::vector<Live> live;
  const auto check = [](const Live& block) {
    for (size_t i = 0; i < block.size; i += 37) REQUIRE(block.bytes[i] == far::Block::pattern(block.seed, i));
  };
  for (int step = 0; step < 20000; ++step) {
    const unsigned kind = random() % 10;
    if (kind < 5 || live.empty()) {
      const size_t size = random() % 100 == 0 ? random() % 500000 : random() % 3000;
      Live block{static_cast<char*>(malloc(size)), size, static_cast<unsigned>(random())};
      for (size_t i = 0; i < size; ++i) block.bytes[i] = far::Block::pattern(block.seed, i);
      live.push_back(block);
      continue;
    }
    Live& chosen = live[random() % live.size()];
    check(chosen);
    if (kind < 7) {
      const size_t size = 1 + random() % 20000;
      const size_t kept = std::min(size, chosen.size);
      chosen.bytes = static_cast<char*>(realloc(chosen.bytes, size));
      for (size_t i = 0; i < kept; i += 37) REQUIRE(chosen.bytes[i] == far::Block::pattern(chosen.seed, i));
      chosen.size = size;
      for (size_t i = 0; i < size; ++i) chosen.bytes[i] = far::Block::pattern(chosen.seed, i);
    } else {
      free(chosen.bytes);
      chosen = live.back();
      live.pop_back();
    }
  }
  for (const Live& block : live) {
    check(block);
    free(block.bytes);
  }
}

TEST_CASE("Threads allocate and free each other's blocks") {
  std::vector<std::thread> threads;
  std::atomic<char*> slots[64] = {};
  std::atomic<int> wrong{0};
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 20000; ++i) {
        const size_t size = 16 + random() % 2000;
        auto* mine = static_cast<char*>(malloc(size));
        memset(mine, static_cast<int>(size & 0xff), size);
        memcpy(mine, &size, sizeof size);
        char* other = slots[random() % 64].exchange(mine);
        if (other == nullptr) continue;
        size_t length;
        memcpy(&length, other, sizeof length);
        if (other[length - 1] != static_cast<char>(length & 0xff)) ++wrong;
        free(other);
      }
    });
  for (auto& thread : threads) thread.join();
  for (auto& slot : slots) free(slot.load());
  CHECK(wrong == 0);
}

TEST_CASE("The standard containers work on far memory") {
  std::map<std::string, std::string> map;
  for (int i = 0; i < 20000; ++i) map[std::to_string(i)] = std::string(static_cast<size_t>(i % 90), 'a');
  size_t total = 0;
  for (const auto& [key, value] : map) total += value.size();
  CHECK(total == 889300);
}

TEST_CASE("A list whose links the node follows is read as it was written") {
  struct Node {
    uint64_t value;
    Node* next;
    uint64_t rest[6];
  };
  constexpr size_t kNodes = 1024;
  far::Block block(kNodes * 4096, 0);
  REQUIRE(tiara_is_far(block.data()) == 1);
  auto* nodes = reinterpret_cast<Node*>(block.data());
  const auto at = [&](size_t i) { return nodes + (i * 397 % kNodes) * (4096 / sizeof(Node)); };
  for (size_t i = 0; i < kNodes; ++i) *at(i) = {i, i + 1 < kNodes ? at(i + 1) : nullptr, {}};
  tiara_links links{sizeof links, sizeof(Node), offsetof(Node, next), 16};
  REQUIRE(tiara_follow(nodes, block.size(), &links) == 0);
  for (uint64_t round = 0; round < 6; ++round) {
    uint64_t wrong = 0, i = 0;
    for (Node* node = at(0); node != nullptr; node = node->next, ++i) {
      wrong += node->value != i + round;
      ++node->value;  // what the node has of it is outdated from now on
    }
    CHECK(wrong == 0);
    CHECK(i == kNodes);
  }
  CHECK(tiara_forget(nodes, block.size()) == 0);
  links.link_offset = 4;
  CHECK(tiara_follow(nodes, block.size(), &links) == -1);
  CHECK(errno == EINVAL);
  links.link_offset = sizeof(Node);
  CHECK(tiara_follow(nodes, block.size(), &links) == -1);
  links = {sizeof links, sizeof(Node), 0, 33};
  CHECK(tiara_follow(nodes, block.size(), &links) == -1);
  links.hops = 1;
  CHECK(tiara_follow(&links, sizeof links, &links) == -1);  // not far
  CHECK(errno == EINVAL);
}

TEST_CASE("The public interface reports, brings near and lets go") {
  CHECK(tiara_is_active() == 1);
  CHECK(far::remote_pages() > 0);
  far::Block block(1 << 20, 3);
  REQUIRE(tiara_bring_near(block.data(), block.size()) == 0);
  CHECK(block.holds(3, block.size()));
  CHECK(tiara_let_go(block.data(), block.size()) == 0);
  int on_stack = 0;
  CHECK(tiara_bring_near(&on_stack, sizeof on_stack) == 0);
  CHECK(tiara_is_far(&on_stack) == 0);
  tiara_stats too_old{};
  too_old.size = 8;
  CHECK(tiara_get_stats(&too_old) == -1);
  CHECK(errno == EINVAL);
}
