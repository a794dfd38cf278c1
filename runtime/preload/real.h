// The functions that ours stand in front of: the next definition after libtiara.so in the link order, as
// dlsym(RTLD_NEXT) would find it.
//
// Found by reading the loaded objects' symbol tables, not by dlsym: ours are called before constructors run, in
// signal handlers and in forked children, and dlsym takes the loader's lock and may call malloc, which is ours too.
#pragma once

#include <atomic>

namespace tiara::preload {

class RealSymbol {
 public:
  explicit constexpr RealSymbol(const char* name) noexcept : name_(name) {}
  void* get() noexcept {
    void* found = address_.load(std::memory_order_relaxed);  // a code address: nothing is published with it
    return found != nullptr ? found : find();
  }
  const char* name() const noexcept { return name_; }
  // Looks without complaint; nullptr when nobody defines it.
  void* find_quietly() noexcept;

 private:
  void* find() noexcept;  // ends the process when there is no such function: the program could not have called it
  const char* name_;
  std::atomic<void*> address_{nullptr};
};

// The default version of `name` in the objects that come after this one.
void* find_next_definition(const char* name) noexcept;

// Looks all of them up, so that none has to be found in a signal handler.
void resolve_all() noexcept;

}  // namespace tiara::preload

// One RealSymbol per name and translation unit, collected in a section so that resolve_all() can walk them.
#define TIARA_DEFINE_REAL(function)                                                            \
  [[gnu::section("tiara_real"), gnu::used]] static constinit ::tiara::preload::RealSymbol real_symbol_##function{ \
      #function}
#define TIARA_REAL(function) (reinterpret_cast<decltype(&::function)>(real_symbol_##function.get()))

// An exported function of the program's interface. Also listed in interposed.txt, which makes the version script.
#define TIARA_INTERPOSE extern "C" __attribute__((visibility("default")))
