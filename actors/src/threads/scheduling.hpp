#pragma once

#include <caf/actor_system_config.hpp>
#include <caf/execution_unit.hpp>
#include <caf/logger.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "threads/job_queue.hpp"
#include "troupe/platform/host.hpp"

namespace troupe::actors {

/// A thread that runs actors: one of the system's own, or a caller's while it waits (see pump.hpp).
class WorkUnit : public caf::execution_unit {
 public:
  using execution_unit::execution_unit;

  /// Code of a user's begins here: it may compute, or block, as long as it likes. Until it ends nobody counts
  /// on this thread, and what waits behind it is handed to the others.
  virtual void begin_user_code() = 0;
  virtual void end_user_code() = 0;
  /// Whether the program of this run may be run here. If not, the job goes to a thread that takes it once its
  /// `resume` has answered `resume_later`.
  virtual bool takes_program_of(std::uint64_t run) = 0;
};

/// How many threads of its own the system has: fewer than it was told to when the machine gave no more. 0:
/// not the one that it needs at least (and one for timers); nothing runs then. Under the deterministic
/// scheduler there are none either, and nobody needs them.
std::size_t scheduler_threads(caf::actor_system& system);

/// The shared queue of a system; null under the deterministic scheduler.
JobQueue* shared_queue(caf::actor_system& system);

/// CAF gives a logger to each thread that spawns an actor, and from then on notes there whose turn it is,
/// twice for each job. Nobody reads that, and the end of the system waits for who has its logger.
inline void without_logger() noexcept {
  if (caf::logger::current_logger() != nullptr) caf::logger::set_current_actor_system(nullptr);
}

/// CAF configured as we use it, in one place. `deterministic`: CAF's test coordinator on the caller's thread
/// with a virtual clock; otherwise our own scheduler: a job that a running actor enqueues goes to its
/// thread's own slot and runs next there, so a task that travels program → run → worker → chip wakes no
/// thread; whatever does not fit the slot, and everything from outside, goes to the shared queue. Why not
/// CAF's `stealing`: its idle workers sleep 50 µs and are not woken, and its queue is quadratic. Why not
/// `sharing`: each hop of a task would be a wake-up of a parked worker (decision 0070).
/// `threads` 0: as many as the machine has cores; `host` gives them.
class CafConfig : public caf::actor_system_config {
 public:
  CafConfig(bool deterministic, std::size_t threads, std::shared_ptr<platform::Host> host);
  const std::shared_ptr<platform::Host>& host() const { return host_; }

 private:
  std::shared_ptr<platform::Host> host_;
};

}  // namespace troupe::actors
