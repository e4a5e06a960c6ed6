#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/flight.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::queued {

/// All runs that were launched and have not ended, and how those ended that others may still depend on: what
/// the callers of the ABI and the engine's thread share. Any thread, unless it is said.
class Unfinished {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t most = RunQueue::depth;

  Unfinished(const HostServices& host, const CallableTable& callables) : host_(host), callables_(callables) {}

  /// What the callables of runs are.
  enum class Of : std::uint8_t { callables, graphs };
  /// Takes runs; all or nothing.
  Result<void> add(std::span<const troupe_run> runs, std::uint64_t settled, Of of);
  /// Takes one that its caller waits for, in await.
  Result<const Run*> add_awaited(const troupe_run& run);
  /// The last ones never were there; before anybody has looked.
  void take_back(std::size_t count);
  /// Waits for the end of what add_awaited answered. Null: it was given up.
  std::unique_ptr<Run> await(const Run* run);
  /// Of what await answered, for a later run.
  void keep(std::unique_ptr<Run> run);

  /// A run, or all, are to end; those on the device are told.
  Result<void> abort(std::uint64_t correlation);
  /// Takes no more, and aborts all.
  void close();
  /// False: not all has ended by then.
  bool wait_until_empty(Clock::time_point deadline);
  /// What is left has ended as aborted, as far as the host is told; the device may go on with it. Waits for
  /// copies to and from memory of the host, which begin no more.
  std::vector<std::unique_ptr<Run>> give_up();

  // The engine's thread.
  /// Those that came since, in order.
  void collect(std::vector<Flight*>& arrived);
  /// Whether somebody has asked for an end since it was last asked.
  bool take_abort() noexcept { return aborting_.exchange(false); }
  /// From now on the device is told when it is to end.
  void put_on_device(Flight& flight, Block& block);
  void put_on_device(Flight& flight, std::span<troupe_device_block> graph_blocks);
  /// Nobody looks at its blocks any more.
  void leave_device(Flight& flight);
  /// Its outcome stands, and it is on the device no more; the flight is gone afterwards.
  void end(Flight& flight);
  /// How a run ends that depends on that one; nothing: not for its sake.
  std::optional<Outcome> skips(std::uint64_t correlation) const;
  /// False: there will be no more; given up.
  bool begin_host_copy();
  void end_host_copy();

  std::vector<std::unique_ptr<Run>> take_ended();
  std::size_t ended() const;
  void report(troupe_device_status& status) const;
  /// Calls `look(flight)` for every unfinished run, in order, with all held still.
  template <class Look>
  void for_each(Look look) const {
    const std::lock_guard lock(mutex_);
    for (const Flight& flight : flights_) look(flight);
  }

 private:
  void append(const troupe_run& run, Of of);
  void count_end(const Run& run);

  const HostServices& host_;
  const CallableTable& callables_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Flight> flights_, spare_;
  std::vector<std::unique_ptr<Run>> spare_runs_;
  std::vector<Flight*> arrived_;
  std::vector<std::unique_ptr<Run>> ended_;    ///< the host is to be told of
  std::vector<std::unique_ptr<Run>> awaited_;  ///< their callers are to pick up
  std::size_t waiting_ = 0;                    ///< callers inside await
  FailedRuns failed_;
  std::uint64_t last_correlation_ = 0, completed_ = 0, failures_ = 0;
  std::size_t copying_ = 0;
  std::atomic<bool> aborting_{false};
  std::atomic<bool> has_failures_{false};  ///< failed_ is not empty
  bool closing_ = false, given_up_ = false;
};

}  // namespace troupe::platform::queued
