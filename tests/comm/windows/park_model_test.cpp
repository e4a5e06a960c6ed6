// No wake-up is lost: the code of wait.hpp, step by step in every interleaving, with modelled memory.
#include <doctest/doctest.h>

#include "comm/windows/interleavings.hpp"
#include "windows/wait.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;
using Thread = Interleavings::Thread;
using Program = Interleavings::Program;
using End = Interleavings::End;

// The words of one window.
enum : std::size_t { event, parked, word, other_word, revoked };

struct Count {
  explicit Count(Thread& thread) : event(thread, ::event), parked(thread, ::parked) {}
  Cell event, parked;
};

constexpr WaitPolicy at_once{}, patient{.spins = 1, .yields = 1};

/// Waits until the word is `least` or more, or the epoch is over.
Program waiter(std::uint32_t least, WaitPolicy policy = at_once, Deadline until = never) {
  return [=](Thread& thread) {
    Count count(thread);
    const Cell mine(thread, word), end(thread, revoked);
    Patience patience{policy, {}};
    return static_cast<int>(wait_for(
        count, patience, Machine(thread), until,
        [&] { return mine.load(std::memory_order_seq_cst) >= least; },
        [&] { return end.load(std::memory_order_seq_cst) != 0; }));
  };
}

Program setter(std::uint32_t value) {
  return [=](Thread& thread) {
    Count count(thread);
    Cell theirs(thread, word);
    set_and_announce(theirs, value, count, Machine(thread));
    return 0;
  };
}

Program adder() {
  return [](Thread& thread) {
    Count count(thread);
    Cell(thread, word).fetch_add(1, std::memory_order_seq_cst);
    announce(count, Machine(thread));
    return 0;
  };
}

/// Ends the epoch as DomainMember::Impl::end does.
Program ender() {
  return [](Thread& thread) {
    Count count(thread);
    Cell(thread, revoked).exchange_if(0, 1);
    announce(count, Machine(thread));
    return 0;
  };
}

constexpr int ready = static_cast<int>(Waited::ready), ended = static_cast<int>(Waited::ended),
              late = static_cast<int>(Waited::deadline);

/// Every waiter ends in one of `allowed`, and nobody is left counted as parked.
std::size_t check_all(Interleavings model, const std::vector<Program>& programs, std::size_t waiters,
                      std::vector<int> allowed) {
  const std::size_t states = model.explore(programs, [&](const End& end) {
    INFO(end.steps);
    for (std::size_t t = 0; t < waiters; ++t)
      REQUIRE(std::find(allowed.begin(), allowed.end(), end.results[t]) != allowed.end());
    REQUIRE(end.memory[parked] == 0);
  });
  MESSAGE(states, " states");
  return states;
}

TEST_CASE("no interleaving of a signal and a waiter loses the wake-up") {
  for (const WaitPolicy policy : {at_once, patient}) {
    check_all(Interleavings(), {waiter(1, policy), setter(1)}, 1, {ready});
    check_all(Interleavings(), {waiter(1, policy), adder()}, 1, {ready});
  }
}

TEST_CASE("nor of two waiters and a signal, nor of one that needs two signals") {
  check_all(Interleavings(), {waiter(1), waiter(1), setter(1)}, 2, {ready});
  check_all(Interleavings(), {waiter(2), adder(), adder()}, 1, {ready});
  // The first signal wakes both for nothing or for something; the second must still reach the one that stays.
  check_all(Interleavings(),
            {waiter(1), waiter(2), [](Thread& thread) { return adder()(thread) + adder()(thread); }}, 2,
            {ready});
}

TEST_CASE("waking up for nothing changes nothing") {
  check_all(Interleavings(2), {waiter(2), adder(), adder()}, 1, {ready});
}

TEST_CASE("the end of an epoch reaches every waiter, and a signal before it is still a signal") {
  check_all(Interleavings(), {waiter(1), ender()}, 1, {ended});
  check_all(Interleavings(), {waiter(1), setter(1), ender()}, 1, {ready, ended});
  check_all(Interleavings(), {waiter(1), [](Thread& thread) { return setter(1)(thread) + ender()(thread); }},
            1, {ready});
}

TEST_CASE("a deadline ends a wait at any moment and leaves no trace") {
  check_all(Interleavings(), {waiter(1, at_once, Machine::late())}, 1, {late});
  check_all(Interleavings(1), {waiter(1, at_once, Machine::late()), setter(1)}, 1, {ready, late});
}

// The barrier of DomainMember: one counter, and who gives up takes its arrival back.
Program barrier(std::uint32_t ranks, Deadline until) {
  return [=](Thread& thread) {
    Count count(thread);
    Cell arrivals(thread, word);
    const Machine machine(thread);
    if (arrivals.fetch_add(1, std::memory_order_seq_cst) + 1 >= ranks) announce(count, machine);
    Patience patience{at_once, {}};
    const Waited waited = wait_for(
        count, patience, machine, until, [&] { return arrivals.load(std::memory_order_seq_cst) >= ranks; },
        [] { return false; });
    if (waited == Waited::ready) return ready;
    std::uint32_t seen = arrivals.load(std::memory_order_seq_cst);
    for (;;) {
      if (seen >= ranks) return ready;
      const auto there = static_cast<std::uint32_t>(arrivals.exchange_if(seen, seen - 1));
      if (there == seen) return late;
      seen = there;
    }
  };
}

TEST_CASE("a barrier opens for all or, with deadlines, for nobody, nobody sleeps through it") {
  check_all(Interleavings(), {barrier(2, never), barrier(2, never)}, 2, {ready});
  check_all(Interleavings(), {barrier(3, never), barrier(3, never), barrier(3, never)}, 3, {ready});
  Interleavings().explore({barrier(2, Machine::late()), barrier(2, Machine::late())}, [](const End& end) {
    INFO(end.steps);
    REQUIRE(end.results[0] == end.results[1]);
    REQUIRE(end.memory[word] == (end.results[0] == ready ? 2 : 0));
    REQUIRE(end.memory[parked] == 0);
  });
}

// The teardown: everybody sets a word of its own and waits for all of them.
Program departure(std::size_t own, std::size_t other, std::memory_order order) {
  return [=](Thread& thread) {
    Count count(thread);
    Cell mine(thread, own);
    const Cell theirs(thread, other);
    const Machine machine(thread);
    const auto all = [&] {
      return mine.load(std::memory_order_seq_cst) != 0 && theirs.load(std::memory_order_seq_cst) != 0;
    };
    mine.store(1, order);
    if (all()) announce(count, machine);
    Patience patience{at_once, {}};
    return static_cast<int>(wait_for(count, patience, machine, never, all, [] { return false; }));
  };
}

TEST_CASE("of two that leave together at least one sees both, and wakes the other") {
  check_all(Interleavings(),
            {departure(word, other_word, std::memory_order_seq_cst),
             departure(other_word, word, std::memory_order_seq_cst)},
            2, {ready});
}

// What would go wrong, so that the model is known to see it.

bool somebody_sleeps_for_ever(const std::vector<Program>& programs) {
  bool stuck = false;
  Interleavings().explore(programs, [&](const End& end) {
    for (const int result : end.results) stuck = stuck || result == Interleavings::stuck;
  });
  return stuck;
}

TEST_CASE("a signal that is only released, not seq_cst, would be slept through") {
  CHECK(somebody_sleeps_for_ever({waiter(1), [](Thread& thread) {
                                    Count count(thread);
                                    Cell(thread, word).store(1, std::memory_order_release);
                                    announce(count, Machine(thread));
                                    return 0;
                                  }}));
  CHECK(somebody_sleeps_for_ever({departure(word, other_word, std::memory_order_release),
                                  departure(other_word, word, std::memory_order_release)}));
}

TEST_CASE("a wake-up without an event, or a waiter that counts itself late, would be slept through") {
  CHECK(somebody_sleeps_for_ever({waiter(1), [](Thread& thread) {
                                    Count count(thread);
                                    Cell(thread, word).store(1, std::memory_order_seq_cst);
                                    if (count.parked.load(std::memory_order_seq_cst) != 0)
                                      Machine(thread).wake_all(count.event);
                                    return 0;
                                  }}));
  CHECK(somebody_sleeps_for_ever({[](Thread& thread) {
                                    Count count(thread);
                                    const Cell mine(thread, word);
                                    const auto seen = count.event.load(std::memory_order_seq_cst);
                                    if (mine.load(std::memory_order_seq_cst) == 0) {
                                      count.parked.fetch_add(1, std::memory_order_seq_cst);
                                      Machine(thread).park(count.event, seen, never);
                                    }
                                    return 0;
                                  },
                                  setter(1)}));
}

}  // namespace
