#pragma once

// For tests of programs, ours and users': a whole node or pod on the caller's thread, with scripted chips and
// a virtual clock, that replays exactly from a seed. No dependency on a test framework.
//
//   testing::Simulation sim({.seed = 7, .chips = 2});
//   sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
//   sim.fault(testing::kill_chip(1).at(3));                 // chip 1 dies at its third task
//   sim.node().run(my_program);
//   CHECK(sim.ran_on(0) + sim.ran_on(1) == 10);
//
// A Simulation owns its system and everything in it. One thread.
// Errors are thrown: those of the calls that are tested, deadlock when a caller waits and nothing can happen
// any more, and no_such_chip, unknown_callable, bad_argument or invalid_argument for a fault that could never
// come.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/platform/scripted_chip.hpp"
#include "troupe/runtime/saturated.hpp"
#include "troupe/troupe.hpp"

namespace troupe::testing {

using platform::ScriptedCall;

/// A fault, as a value: `fail("step").on_chip(0).at(2).times(3)`. Counts tasks from 1, over restarts of the
/// chip, so that a fault happens once.
class Fault {
 public:
  explicit Fault(platform::ScriptedFault::Kind kind) { fault_.kind = kind; }

  /// Device number: chips of a pod's nodes count on.
  Fault& on_chip(int chip) {
    if (chip < 0) throw Error(actors::Errc::no_such_chip, "a fault on chip " + std::to_string(chip));
    return fault_.device = chip, *this;
  }
  Fault& of(std::string kernel) { return fault_.callable = std::move(kernel), *this; }
  /// Its k-th matching task.
  Fault& at(std::uint64_t k) { return fault_.at = k, *this; }
  Fault& times(std::uint64_t n) { return fault_.times = n, *this; }
  Fault& with(std::string text) { return fault_.text = std::move(text), *this; }
  Fault& by(runtime::Nanoseconds delay) {
    if (delay.count() < 0) throw Error(actors::Errc::bad_argument, "a delay by a negative time");
    fault_.delay_ns = static_cast<std::uint64_t>(delay.count());
    return *this;
  }
  Fault& call(std::string function) { return fault_.call = std::move(function), *this; }
  const platform::ScriptedFault& value() const { return fault_; }

 private:
  platform::ScriptedFault fault_;
};

/// The task fails.
inline Fault fail(std::string kernel = {}) {
  return Fault(platform::ScriptedFault::Kind::fail_run).of(std::move(kernel));
}
/// The chip dies as the task starts; its supervisor restarts it.
inline Fault kill_chip(int chip) { return Fault(platform::ScriptedFault::Kind::lose_device).on_chip(chip); }
/// The task ends later.
inline Fault delay(runtime::Nanoseconds by) { return Fault(platform::ScriptedFault::Kind::delay).by(by); }
/// The task's end is never heard of.
inline Fault drop(std::string kernel = {}) {
  return Fault(platform::ScriptedFault::Kind::drop).of(std::move(kernel));
}
/// The kernel does not return.
inline Fault hang(std::string kernel = {}) {
  return Fault(platform::ScriptedFault::Kind::hang).of(std::move(kernel));
}
/// Bring-up (or another call of the device ABI) fails; chip -1: of any.
inline Fault fail_call(std::string call, int chip) {
  Fault fault(platform::ScriptedFault::Kind::fail_call);
  if (chip != -1) fault.on_chip(chip);
  return fault.call(std::move(call));
}

/// Kills the actor of a node's chip at once, as a bug in it would; on any system. Its supervisor restarts it.
/// Nothing happens to a chip that is dead already. Throws `no_such_chip` or `shut_down`.
TROUPE_API void kill(const Node& node, int chip);

struct SimulationOptions {
  std::uint64_t seed = 0;   ///< which interleaving; 0: first come, first served
  actors::Count chips = 2;  ///< of each node
  actors::Count nodes = 0;  ///< 0: one node; otherwise a pod of so many
  actors::Count sub_workers = 1;
  actors::Count credit = 64;
  RestartLimit restart = {};
  actors::Count soft_limit = 8192;
  actors::Count hard_limit = 65536;
  std::uint64_t arena_bytes = 1ULL << 20U;
  std::vector<comm::ChipBootstrapConfig> chip_bootstrap_configs = {};
  bool recover = true;                     ///< see NodeConfig
  actors::PlacementPolicy placement = {};  ///< see NodeConfig
  std::string models = {};                 ///< see NodeConfig
  actors::LogSink log = [](int, std::string_view, std::string_view) {};
  std::shared_ptr<actors::TraceSink> trace = {};  ///< records the events, in virtual time
};

/// One task that ran on a chip, in order of ending.
struct Ran {
  int chip = -1;  ///< device number: chips of a pod's nodes count on
  std::string kernel;
  std::int32_t code = 0;  ///< 0: well
};

/// A system in which nothing happens by itself: a call that waits steps it, one message or device event at a
/// time, chosen by the seed; the clock jumps when nothing else is left to do. Same seed, same history.
class TROUPE_API Simulation {
 public:
  explicit Simulation(SimulationOptions options = {});
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation();

  /// Defines a kernel that programs may name.
  Simulation& kernel(const std::string& name, platform::ScriptedKernel body);
  /// Throws for a fault that could never fire: one of an unknown kernel or chip. Define kernels first.
  Simulation& fault(const Fault& fault);

  /// The node (or pod) under test, brought up at first use.
  Node& node();
  System& system();
  platform::ScriptedChip& script();

  /// One step; false: nothing is runnable and no timer is set.
  bool step();
  /// Up to `most` steps, without jumping the clock; returns how many were made.
  std::size_t steps(std::size_t most);
  /// Lets virtual time pass and runs the events that fall due.
  void advance(runtime::Nanoseconds time);
  std::chrono::nanoseconds now() const;

  /// Kills the chip's actor, as a bug in it would.
  void kill(int chip);

  /// Contexts whose kernel did not return when they were closed, tried again; how many are left.
  std::size_t sweep_quarantine();

  /// Every attempt, in order, also those that failed.
  std::vector<Ran> ran() const;
  /// How many tasks the chip finished well; how often the kernel did. Throws for a chip or a kernel that the
  /// simulation does not have, as `tried` does.
  std::size_t ran_on(int chip) const;
  std::size_t ran(std::string_view kernel) const;
  /// How often the kernel was started, also when it failed.
  std::size_t tried(std::string_view kernel) const;
  /// Kernels in the order they ended, e.g. "a b b c".
  std::string order() const;
  /// Nodes, chips, runs, programs … that are alive.
  std::size_t actors() const;
  /// The text that a message about a failed random case should contain.
  std::string replay() const;

 private:
  void check_kernel(std::string_view kernel) const;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace troupe::testing
