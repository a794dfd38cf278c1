// Locks of the program in far memory, and its threads.
#include <catch2/catch.hpp>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <thread>
#include <vector>

#include "tests/preload/far.h"

namespace {

constexpr int kThreads = 4;

// Keeps pages moving while the others wait.
void churn(const std::atomic<bool>& is_done) {
  std::vector<char> bytes(12 << 20);
  while (!is_done)
    for (size_t i = 0; i < bytes.size() && !is_done; i += far::kPage) ++bytes[i];
}

struct Churn {
  std::atomic<bool> is_done{false};
  std::thread thread{[this] { churn(is_done); }};
  ~Churn() {
    is_done = true;
    thread.join();
  }
};

template <typename F>
void in_threads(F work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("A contended mutex in far memory excludes") {
  Churn churn;
  far::Object<pthread_mutex_t> mutex;
  for (int kind : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, kind);
    if (kind == PTHREAD_MUTEX_ERRORCHECK) pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    REQUIRE(pthread_mutex_init(mutex.get(), &attributes) == 0);
    long count = 0;
    in_threads([&] {
      for (int i = 0; i < 5000; ++i) {
        pthread_mutex_lock(mutex.get());
        ++count;
        pthread_mutex_unlock(mutex.get());
      }
    });
    CHECK(count == kThreads * 5000);
    pthread_mutex_destroy(mutex.get());
  }
}

TEST_CASE("A condition variable in far memory wakes its waiters") {
  Churn churn;
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    int items = 0;
  };
  far::Object<Queue> queue;
  std::atomic<int> taken{0};
  std::vector<std::thread> consumers;
  for (int i = 0; i < kThreads; ++i)
    consumers.emplace_back([&] {
      for (int n = 0; n < 500; ++n) {
        std::unique_lock lock(queue->mutex);
        queue->changed.wait(lock, [&] { return queue->items > 0; });
        --queue->items;
        ++taken;
      }
    });
  for (int n = 0; n < 500 * kThreads; ++n) {
    std::lock_guard lock(queue->mutex);
    ++queue->items;
    queue->changed.notify_one();
  }
  for (auto& consumer : consumers) consumer.join();
  CHECK(taken == 500 * kThreads);
  std::unique_lock lock(queue->mutex);
  CHECK_FALSE(queue->changed.wait_for(lock, std::chrono::milliseconds(20), [] { return false; }));
}

TEST_CASE("Semaphores, barriers and read-write locks in far memory") {
  Churn churn;
  far::Object<sem_t> semaphore;
  sem_init(semaphore.get(), 0, 0);
  std::thread poster([&] {
    for (int i = 0; i < 2000; ++i) sem_post(semaphore.get());
  });
  for (int i = 0; i < 2000; ++i) REQUIRE(sem_wait(semaphore.get()) == 0);
  poster.join();

  far::Object<pthread_barrier_t> barrier;
  far::Object<pthread_rwlock_t> lock;
  pthread_barrier_init(barrier.get(), nullptr, kThreads);
  pthread_rwlock_init(lock.get(), nullptr);
  long count = 0;
  std::atomic<int> serial{0};
  in_threads([&] {
    for (int i = 0; i < 300; ++i) {
      pthread_rwlock_wrlock(lock.get());
      ++count;
      pthread_rwlock_unlock(lock.get());
      pthread_rwlock_rdlock(lock.get());
      pthread_rwlock_unlock(lock.get());
      if (pthread_barrier_wait(barrier.get()) == PTHREAD_BARRIER_SERIAL_THREAD) ++serial;
    }
  });
  CHECK(count == kThreads * 300);
  CHECK(serial == 300);
}

TEST_CASE("std::atomic waits on a far word") {
  Churn churn;
  far::Object<std::atomic<int>> word;
  std::thread waiter([&] {
    for (int i = 0; i < 200; ++i) word->wait(i);
  });
  for (int i = 1; i <= 200; ++i) {
    word->store(i);
    word->notify_all();
    std::this_thread::yield();
  }
  word->store(1000);
  word->notify_all();
  waiter.join();
}

TEST_CASE("Threads with the smallest stack and with a stack of their own in far memory") {
  const auto work = [](void* argument) -> void* {
    auto* bytes = static_cast<char*>(argument);
    for (size_t i = 0; i < (4u << 20); i += far::kPage) ++bytes[i];
    return argument;
  };
  std::vector<char> bytes(4 << 20);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread;
  REQUIRE(pthread_attr_setstacksize(&attributes, 16384) == 0);
  REQUIRE(pthread_create(&thread, &attributes, work, bytes.data()) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  void* stack = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(far::is_far(stack));
  REQUIRE(pthread_attr_setstack(&attributes, stack, 1 << 20) == 0);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(pthread_create(&thread, &attributes, work, bytes.data()) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
  }
  munmap(stack, 1 << 20);
  CHECK(bytes[0] == 21);
}

TEST_CASE("Cancelling threads that wait on far buffers leaves nothing behind") {
  for (int i = 0; i < 200; ++i) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    struct Work {
      int fd;
      char* buffer;
    };
    far::Block buffer(5000);
    Work work{ends[0], buffer.data()};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, [](void* argument) -> void* {
              auto* mine = static_cast<Work*>(argument);
              (void)!read(mine->fd, mine->buffer, 5000);
              return nullptr;
            }, &work) == 0);
    pthread_cancel(thread);
    void* result = nullptr;
    REQUIRE(pthread_join(thread, &result) == 0);
    REQUIRE(result == PTHREAD_CANCELED);
    close(ends[0]);
    close(ends[1]);
  }
}
