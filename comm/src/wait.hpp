#pragma once

#include "troupe/comm/domain.hpp"
#include "window_layout.hpp"

namespace troupe::comm {

inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Wakes whoever parks on `count`, if anyone does. Call after the change; the change must be a seq_cst
/// operation, so that either the waiter sees it or we see the waiter.
inline void announce(EventCount& count, const Environment& environment) {
  if (count.parked.load(std::memory_order_seq_cst) == 0) return;
  count.event.fetch_add(1, std::memory_order_seq_cst);
  environment.wake_all(count.event);
}

enum class Waited : std::uint8_t { ready, ended, deadline };

/// Waits for `ready()`: spins, offers the processor, then parks on `count`. `ended()` says that it will never
/// be; ready wins when both hold. Both must load with seq_cst (free on x86, see announce).
/// The deadline is looked at only when about to park: everything before is bounded and short. `deadline()`
/// may therefore count from its first call.
template <class Until, class Ready, class Ended>
Waited wait_for(EventCount& count, WaitPolicy policy, const Environment& environment, const Until& deadline,
                const Ready& ready, const Ended& ended) {
  for (std::uint32_t i = 0; i < policy.spins; ++i) {
    if (ready()) return Waited::ready;
    relax();
  }
  for (std::uint32_t i = 0; i < policy.yields; ++i) {
    if (ready()) return Waited::ready;
    if (ended()) break;
    environment.yield();
  }
  const Deadline until = deadline();
  count.parked.fetch_add(1, std::memory_order_seq_cst);
  Waited result = Waited::ready;
  for (;;) {
    const std::uint32_t event = count.event.load(std::memory_order_seq_cst);
    if (ready()) break;
    if (ended()) {
      // The end may have been announced right after readiness: look once more.
      result = ready() ? Waited::ready : Waited::ended;
      break;
    }
    if (until != never && environment.now() >= until) {
      result = Waited::deadline;
      break;
    }
    environment.park(count.event, event, until);
  }
  count.parked.fetch_sub(1, std::memory_order_seq_cst);
  return result;
}

template <class Ready, class Ended>
Waited wait_for(EventCount& count, WaitPolicy policy, const Environment& environment, Deadline until,
                const Ready& ready, const Ended& ended) {
  return wait_for(
      count, policy, environment, [until] { return until; }, ready, ended);
}

}  // namespace troupe::comm
