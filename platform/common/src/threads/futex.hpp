#pragma once

#include <atomic>
#include <cstdint>

namespace troupe::platform::common {

/// Sleeps until `word` is woken, unless it no longer holds `expected`. May return early; the caller checks.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept;
/// The same, for `microseconds` at most.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::uint32_t microseconds) noexcept;
/// Wakes up to `count` sleepers of `word`.
void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept;

/// Tells the processor that this is a spin.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace troupe::platform::common
