#pragma once

// Runs small concurrent programs under every interleaving of their steps, on a modelled memory with the store
// buffers of x86. A program is ordinary code over `Cell` and `Machine` below, for example the templates of
// wait.hpp: it is run again from its beginning for every step and stopped at the first operation whose result
// is not decided yet, so it must depend on nothing but those results.
//
// The model: a store that is not seq_cst waits in its thread's buffer, and memory takes it at any later
// moment; a thread sees its own buffer; seq_cst stores, read-modify-writes and calls of the machine empty the
// buffer first. Everything else happens in program order.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "troupe/comm/environment.hpp"

namespace troupe::comm::test {

class Interleavings {
 public:
  using Value = std::uint64_t;
  class Thread;
  using Program = std::function<int(Thread&)>;  ///< its result is what became of it

  struct End {
    std::vector<int> results;  ///< per program; `stuck` for one that sleeps for ever
    std::array<Value, 8> memory{};
    std::string steps;  ///< the interleaving, for people
  };
  static constexpr int stuck = -1;

  /// `idle_wakes`: how often a sleeper may wake up for nothing.
  explicit Interleavings(int idle_wakes = 0) : idle_wakes_(idle_wakes) {}

  /// Calls `at_end` for the end of every interleaving (ends that look alike are shown once). Returns how many
  /// states there are.
  std::size_t explore(const std::vector<Program>& programs, const std::function<void(const End&)>& at_end) {
    programs_ = &programs;
    at_end_ = &at_end;
    seen_.clear();
    path_.clear();
    State start;
    start.threads.resize(programs.size());
    start.idle_wakes = idle_wakes_;
    visit(std::move(start));
    return seen_.size();
  }

  enum class Kind : std::uint8_t { none, load, store, add, exchange_if, park, wake, yield, now };
  struct Operation {
    Kind kind = Kind::none;
    std::size_t cell = 0;
    Value value = 0, expected = 0;
    bool ordered = true;      ///< seq_cst
    bool until_late = false;  ///< a park with a deadline
  };

  /// What a program acts through.
  class Thread {
   public:
    Value perform(const Operation& operation) {
      if (next_ < results_.size()) return results_[next_++];
      pending_ = operation;
      throw NotYet{};
    }

   private:
    friend class Interleavings;
    struct NotYet {};
    explicit Thread(const std::vector<Value>& results) : results_(results) {}
    const std::vector<Value>& results_;
    std::size_t next_ = 0;
    Operation pending_;
  };

 private:
  struct ThreadState {
    std::vector<Value> results;
    std::vector<std::pair<std::size_t, Value>> buffer;  ///< oldest first
    bool asleep = false, until_late = false;
    auto operator<=>(const ThreadState&) const = default;
  };
  struct State {
    std::array<Value, 8> memory{};
    std::vector<ThreadState> threads;
    int idle_wakes = 0;
    bool late = false;  ///< the clock has run out
    auto operator<=>(const State&) const = default;
  };

  void visit(State state) {
    if (!seen_.insert(state).second) return;
    bool moved = false;
    End end{.results = {}, .memory = state.memory, .steps = {}};
    for (std::size_t t = 0; t < state.threads.size(); ++t) {
      if (!state.threads[t].buffer.empty()) {
        moved = true;
        step(state, t, "memory takes a store", [&](State& next) { drain_one(next, t); });
      }
      if (state.threads[t].asleep) {
        end.results.push_back(stuck);
        if (state.threads[t].until_late) {
          moved = true;
          step(state, t, "wakes because it is late", [&](State& next) {
            next.late = true;
            wake(next.threads[t]);
          });
        }
        // May happen, so nobody can count on it.
        if (state.idle_wakes > 0) {
          step(state, t, "wakes for nothing", [&](State& next) {
            --next.idle_wakes;
            wake(next.threads[t]);
          });
        }
        continue;
      }
      Thread thread(state.threads[t].results);
      try {
        end.results.push_back((*programs_)[t](thread));
      } catch (const Thread::NotYet&) {
        moved = true;
        end.results.push_back(stuck);
        perform(state, t, thread.pending_);
      }
    }
    if (moved) return;
    for (const std::string& line : path_) end.steps += line + "\n";
    (*at_end_)(end);
  }

  template <class Change>
  void step(const State& state, std::size_t thread, const std::string& what, const Change& change) {
    State next = state;
    change(next);
    path_.push_back(std::to_string(thread) + ": " + what);
    visit(std::move(next));
    path_.pop_back();
  }

  void perform(const State& state, std::size_t t, const Operation& operation) {
    const auto done = [t](State& next, Value result) { next.threads[t].results.push_back(result); };
    const std::string cell = " [" + std::to_string(operation.cell) + "]";
    switch (operation.kind) {
      case Kind::load:
        return step(state, t, "load" + cell, [&](State& next) { done(next, look(next, t, operation.cell)); });
      case Kind::store:
        return step(state, t, "store" + cell, [&](State& next) {
          next.threads[t].buffer.emplace_back(operation.cell, operation.value);
          if (operation.ordered) drain(next, t);
          done(next, 0);
        });
      case Kind::add:
        return step(state, t, "add" + cell, [&](State& next) {
          drain(next, t);
          done(next, next.memory[operation.cell]);
          // Cells are 64 bits wide; what counts down comes back to 0 all the same.
          next.memory[operation.cell] += operation.value;
        });
      case Kind::exchange_if:
        return step(state, t, "exchange" + cell, [&](State& next) {
          drain(next, t);
          Value& there = next.memory[operation.cell];
          done(next, there);
          if (there == operation.expected) there = operation.value;
        });
      case Kind::park:
        return step(state, t, "park" + cell, [&](State& next) {
          drain(next, t);
          if (next.memory[operation.cell] == operation.expected)
            next.threads[t].asleep = true, next.threads[t].until_late = operation.until_late;
          else
            done(next, 0);
        });
      case Kind::wake:
        return step(state, t, "wake" + cell, [&](State& next) {
          drain(next, t);
          for (ThreadState& other : next.threads)
            if (other.asleep) wake(other);
          done(next, 0);
        });
      case Kind::yield:
        return step(state, t, "yield", [&](State& next) { done(next, 0); });
      case Kind::now:
        step(state, t, "it is late", [&](State& next) {
          next.late = true;
          done(next, 1);
        });
        if (!state.late) step(state, t, "it is early", [&](State& next) { done(next, 0); });
        return;
      case Kind::none:
        throw std::logic_error("no operation");
    }
  }

  static Value look(const State& state, std::size_t t, std::size_t cell) {
    const auto& buffer = state.threads[t].buffer;
    for (auto entry = buffer.rbegin(); entry != buffer.rend(); ++entry)
      if (entry->first == cell) return entry->second;
    return state.memory[cell];
  }
  static void drain_one(State& state, std::size_t t) {
    const auto [cell, value] = state.threads[t].buffer.front();
    state.threads[t].buffer.erase(state.threads[t].buffer.begin());
    state.memory[cell] = value;
  }
  static void drain(State& state, std::size_t t) {
    while (!state.threads[t].buffer.empty()) drain_one(state, t);
  }
  static void wake(ThreadState& thread) {
    thread.asleep = thread.until_late = false;
    thread.results.push_back(0);
  }

  int idle_wakes_;
  const std::vector<Program>* programs_ = nullptr;
  const std::function<void(const End&)>* at_end_ = nullptr;
  std::set<State> seen_;
  std::vector<std::string> path_;
};

/// A word of the modelled memory as one thread sees it; the part of std::atomic that is needed.
class Cell {
 public:
  using Value = Interleavings::Value;
  using Kind = Interleavings::Kind;
  Cell(Interleavings::Thread& thread, std::size_t number) : thread_(thread), number_(number) {}

  std::uint32_t load(std::memory_order) const {
    return static_cast<std::uint32_t>(thread_.perform({.kind = Kind::load, .cell = number_}));
  }
  void store(Value value, std::memory_order order) {
    thread_.perform({.kind = Kind::store,
                     .cell = number_,
                     .value = value,
                     .ordered = order == std::memory_order_seq_cst});
  }
  std::uint32_t fetch_add(Value value, std::memory_order) {
    return static_cast<std::uint32_t>(thread_.perform({.kind = Kind::add, .cell = number_, .value = value}));
  }
  std::uint32_t fetch_sub(Value value, std::memory_order) {
    return static_cast<std::uint32_t>(
        thread_.perform({.kind = Kind::add, .cell = number_, .value = 0 - value}));
  }
  /// What was there; it is `desired` now if that was `expected`.
  Value exchange_if(Value expected, Value desired) {
    return thread_.perform(
        {.kind = Kind::exchange_if, .cell = number_, .value = desired, .expected = expected});
  }

 private:
  friend class Machine;
  Interleavings::Thread& thread_;
  std::size_t number_;
};

/// The modelled part of an Environment.
class Machine {
 public:
  using Kind = Interleavings::Kind;
  explicit Machine(Interleavings::Thread& thread) : thread_(thread) {}

  /// The deadline of who has one; it passes at any moment.
  static Deadline late() { return Deadline(std::chrono::hours(1)); }
  Deadline now() const { return thread_.perform({.kind = Kind::now}) == 0 ? Deadline() : late(); }
  void park(const Cell& word, std::uint32_t expected, Deadline until) const {
    thread_.perform(
        {.kind = Kind::park, .cell = word.number_, .expected = expected, .until_late = until != never});
  }
  void wake_all(const Cell& word) const { thread_.perform({.kind = Kind::wake, .cell = word.number_}); }
  void yield() const { thread_.perform({.kind = Kind::yield}); }

 private:
  Interleavings::Thread& thread_;
};

}  // namespace troupe::comm::test
