// Order that ThreadSanitizer cannot see: what one thread wrote before bytes went out, another sees after the answer to
// them has come in. Nothing in other builds.
#pragma once

#if defined(__SANITIZE_THREAD__)
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace tiara {

inline void happens_before([[maybe_unused]] const void* what) noexcept {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(const_cast<void*>(what));
#endif
}
inline void happens_after([[maybe_unused]] const void* what) noexcept {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(const_cast<void*>(what));
#endif
}

}  // namespace tiara
