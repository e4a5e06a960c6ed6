#pragma once

#include "troupe/comm/domain.hpp"
#include "windows/layout.hpp"

namespace troupe::comm {

inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Why no wake-up is lost. All operations below on the awaited word, on `parked` and on `event` are seq_cst,
// so they have one order S that every thread agrees on.
//
// clang-format off
//   who changes                          who waits
//   C1  change the word                  W1  parked += 1
//   C2  parked == 0? then done           W2  e = event
//   C3  event += 1                       W3  is the word as awaited? then done
//   C4  wake all who sleep on event      W4  sleep while event == e (the kernel compares and queues in one step)
// clang-format on
//
// If C2 sees 0, then C2 comes before W1 in S (or after the waiter has gone), so C1 before W3: W3 sees the
// change. Otherwise C3 happens. If C3 comes before W2, then C1 before W3, which sees the change. If it comes
// after W2, `event` is not e any more: either W4 does not sleep at all, or it slept before C3 and C4 wakes
// it. A weaker C1 may still sit in the store buffer when C2 reads 0, and W3 then misses it: that waiter
// sleeps until its deadline. Several changes and several waiters are the same pairwise; `event` comes back to
// e only after 2^32 changes between W2 and W4. Who dies between C1 and C4 leaves a sleeper behind: whoever
// notices the death wakes everybody (DomainMember::mark_lost). tests/comm/windows/park_model_test.cpp walks
// through all interleavings of this code.
//
// The types are parameters so that the test can put a modelled memory and machine below.

/// Wakes the waiter that parks on `count`, if anyone does. Call after the change, which must be a seq_cst
/// operation.
template <class Count, class Machine>
void announce(Count& count, const Machine& machine) {
  if (count.parked.load(std::memory_order_seq_cst) == 0) return;
  count.event.fetch_add(1, std::memory_order_seq_cst);
  machine.wake_all(count.event);
}

/// Sets a word that others may wait for with `wait_for` on `count`, and wakes them.
template <class Word, class Value, class Count, class Machine>
void set_and_announce(Word& word, Value value, Count& count, const Machine& machine) {
  word.store(value, std::memory_order_seq_cst);
  announce(count, machine);
}

enum class Waited : std::uint8_t { ready, ended, deadline };

/// The scheduler takes an offer of the processor at its word: whoever offers it is put behind all others, for
/// milliseconds when they have work of their own, while a parked thread is run as soon as it is woken. So an
/// offer that took this long means that parking is quicker, for a while (docs/decisions/0035).
inline constexpr std::chrono::microseconds long_offer{500};

/// A rank's policy, and what it has learnt about the machine.
struct Patience {
  WaitPolicy policy;
  /// Waits to come that park without offering the processor first, and how many that will be after the next
  /// long offer: twice as many each time, half as many after a wait whose offers were all short. One
  /// disturbance costs one wait, a busy machine hardly an offer.
  std::atomic<std::uint32_t> hurried{0};
  std::atomic<std::uint32_t> next{1};

  bool hurry() noexcept {
    const auto left = hurried.load(std::memory_order_relaxed);
    if (left != 0) hurried.store(left - 1, std::memory_order_relaxed);
    return left != 0;
  }
  void offered_long() noexcept {
    const auto waits = next.load(std::memory_order_relaxed);
    hurried.store(waits, std::memory_order_relaxed);
    next.store(std::min(2 * waits, 1024U), std::memory_order_relaxed);
  }
  void offered_short() noexcept {
    const auto waits = next.load(std::memory_order_relaxed);
    if (waits > 1) next.store(waits / 2, std::memory_order_relaxed);
  }
};

/// Waits for `ready()`: spins, offers the processor, then parks on `count`. `ended()` says that it will never
/// be; ready wins when both hold. Both must load with seq_cst (free on x86).
/// The deadline is looked at only when about to park: everything before is bounded and short. `deadline()`
/// may therefore count from its first call.
template <class Count, class Machine, class Until, class Ready, class Ended>
Waited wait_for(Count& count, Patience& patience, const Machine& machine, const Until& deadline,
                const Ready& ready, const Ended& ended) {
  for (std::uint32_t i = 0; i < patience.policy.spins; ++i) {
    if (ready()) return Waited::ready;
    relax();
  }
  const bool hurried = patience.hurry();
  for (std::uint32_t i = 0; i < patience.policy.yields && !hurried; ++i) {
    if (ready()) {
      if (i != 0) patience.offered_short();
      return Waited::ready;
    }
    if (ended()) break;
    const Deadline before = machine.now();
    machine.yield();
    if (machine.now() - before < long_offer) continue;
    patience.offered_long();
    break;
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
    if (until != never && machine.now() >= until) {
      result = Waited::deadline;
      break;
    }
    machine.park(count.event, event, until);
  }
  count.parked.fetch_sub(1, std::memory_order_seq_cst);
  return result;
}

template <class Count, class Machine, class Ready, class Ended>
Waited wait_for(Count& count, Patience& patience, const Machine& machine, Deadline until, const Ready& ready,
                const Ended& ended) {
  return wait_for(
      count, patience, machine, [until] { return until; }, ready, ended);
}

}  // namespace troupe::comm
