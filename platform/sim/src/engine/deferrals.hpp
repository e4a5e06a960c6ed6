#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "engine/whereabouts.hpp"
#include "kernels/kernels.hpp"
#include "tasks/tasks.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::sim {

/// The tasks that hold no core any more and are not over: their kernels have left something to be completed
/// later. Each has a thread that waits for it. With the baton; the threads wait without.
class Deferrals {
 public:
  /// A thread for what one task has left.
  class Deferral final : Job {
   public:
    explicit Deferral(Deferrals& owner) : owner_(owner) {}

   private:
    friend class Deferrals;
    void run() noexcept override;

    Deferrals& owner_;
    TaskRecord* task_ = nullptr;
    CoreSlot slot_;  ///< of no core
    std::optional<Error> failure_;
  };

  /// `over` is called by the thread of a deferral that is over, without the baton; it has to take it and
  /// call end().
  Deferrals(CoreThreads& threads, Whereabouts& whereabouts, std::function<void(Deferral&)> over)
      : threads_(threads), whereabouts_(whereabouts), over_(std::move(over)) {}

  void begin(KernelHost& kernels) noexcept { kernels_ = &kernels; }

  /// Whether the task is not over, because something that its kernels left is not; then a thread waits for
  /// it. False: nothing is left, or it has failed for want of a thread.
  bool start(TaskRecord& task);
  /// The task of a deferral that is over.
  TaskRecord& end(Deferral& deferral);

  template <class Look>
  void for_each_slot(Look look) const {
    for (const auto& deferral : all_) look(deferral.slot_);
  }

 private:
  CoreThreads& threads_;
  Whereabouts& whereabouts_;
  const std::function<void(Deferral&)> over_;
  KernelHost* kernels_ = nullptr;
  std::deque<Deferral> all_;
  std::vector<Deferral*> idle_;
};

}  // namespace troupe::platform::sim
