#pragma once

#include <caf/all.hpp>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "scheduling.hpp"
#include "services.hpp"

namespace troupe::actors {

class PumpPool;

/// Collects the jobs that a caller's messages make runnable, and runs them on the caller's own thread.
class InlineUnit : public caf::execution_unit {
 public:
  explicit InlineUnit(caf::actor_system& system) : execution_unit(&system) {}

  void exec_later(caf::resumable* job) override { jobs_.push_back(job); }
  /// Runs one job for a few messages; false when there is none.
  bool run_one();
  void run(caf::resumable* job);
  /// Hands everything that is left to the scheduler's threads.
  void flush();

 private:
  std::deque<caf::resumable*> jobs_;
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

  InlineUnit& unit() { return unit_; }
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
