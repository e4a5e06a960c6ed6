#pragma once

#include <caf/all.hpp>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "threads/scheduling.hpp"
#include "threads/services.hpp"

namespace troupe::actors {

class PumpPool;

/// Collects the jobs that a caller's messages make runnable, and runs them on the caller's own thread: actors
/// of the framework, and the one program that the caller called. What other people's programs do there, and
/// for how long, is nothing that somebody who asked for the status should wait for.
class InlineUnit final : public WorkUnit {
 public:
  explicit InlineUnit(caf::actor_system& system) : WorkUnit(&system), queue_(shared_queue(system)) {}

  void exec_later(caf::resumable* job) override { jobs_.push_back(job); }
  void begin_user_code() override;
  void end_user_code() override;
  bool takes_program_of(std::uint64_t run) override;

  /// Runs jobs, its own and those of the shared queue, as long as `wanted` and for a short look after the
  /// last one.
  /// `busy`: called after a while of that; null: nobody wants to know.
  template <class Wanted>
  void work_while(Wanted wanted, const std::function<void()>* busy);
  /// Runs one job for a few messages; false when there is none.
  bool run_one();
  /// Hands everything that is left to the scheduler's threads.
  void flush();
  /// The run whose program may be run here; 0: none.
  void set_own_run(std::uint64_t run) { own_run_ = run; }

 private:
  void run(caf::resumable* job);

  JobQueue* queue_;  ///< null under the deterministic scheduler
  std::deque<caf::resumable*> jobs_;
  std::uint64_t own_run_ = 0;
  bool looking_ = false;   ///< as others count
  bool declined_ = false;  ///< the job that runs is for others
};

/// How a thread that is not an actor talks to actors and waits for answers: while it waits it runs the actors
/// that its own messages made runnable, helps with the shared queue, and parks only when there is nothing to
/// do. Under the deterministic scheduler it steps the scheduler instead. Not launched, owns no thread. Used
/// by one thread at a time; taken from and returned to a `PumpPool`.
class Pump : public caf::blocking_actor {
 public:
  Pump(caf::actor_config& config, const PumpPool* pool);

  const char* name() const override { return "caller"; }
  void launch(caf::execution_unit*, bool, bool hide) override;
  void await_data() override;
  bool await_data(timeout_type deadline) override;

  /// The caller waits for this run: its program may be run on the caller's thread.
  void set_own_run(std::uint64_t run) { unit_.set_own_run(run); }
  /// What the caller wants to do before its thread sleeps; until the call is over.
  void set_before_waiting(std::function<void()> what) { before_waiting_ = std::move(what); }
  /// Hands what is runnable to the scheduler's threads.
  void flush() { unit_.flush(); }
  /// The call is over: does what little is left of it.
  void finish();

 private:
  bool work_until_message();
  void step_until_message();

  InlineUnit unit_;
  JobQueue* queue_;  ///< null under the deterministic scheduler
  const PumpPool* pool_;
  std::function<void()> before_waiting_;
};

/// The pumps of one system that are not in use. Thread-safe. May outlive the system: then nobody gets one.
class PumpPool {
 public:
  PumpPool(caf::actor_system& system, std::shared_ptr<Services> services)
      : system_(&system), services_(std::move(services)) {}
  ~PumpPool() { close(); }
  PumpPool(const PumpPool&) = delete;
  PumpPool& operator=(const PumpPool&) = delete;

  /// The system is not over while somebody has one.
  class Lease {
   public:
    Lease(PumpPool& pool, Stay stay, caf::strong_actor_ptr pump)
        : stay_(std::move(stay)), pool_(&pool), pump_(std::move(pump)) {}
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    Pump* operator->() const { return get(); }
    Pump* get() const { return static_cast<Pump*>(caf::actor_cast<caf::abstract_actor*>(pump_)); }

   private:
    /// Not to be used again: messages may still be on their way to it.
    void discard();

    Stay stay_;  // goes last
    PumpPool* pool_;
    caf::strong_actor_ptr pump_;
    int exceptions_ = std::uncaught_exceptions();
  };
  /// Throws `shut_down` when the system is going down.
  Lease take();
  /// The pumps that are here end. Before the system does, when nobody has one any more.
  void close();

  /// Deterministic systems: how to step the scheduler once (a job, or the next timer); false: nothing is
  /// runnable. By default first in, first out.
  void set_stepper(std::function<bool()> stepper) { stepper_ = std::move(stepper); }
  bool step() const;
  caf::actor_system& system() const { return *system_; }

 private:
  void give_back(caf::strong_actor_ptr pump);

  caf::actor_system* system_;
  std::shared_ptr<Services> services_;
  std::mutex mutex_;
  std::vector<caf::strong_actor_ptr> free_;
  std::function<bool()> stepper_;
};

}  // namespace troupe::actors
