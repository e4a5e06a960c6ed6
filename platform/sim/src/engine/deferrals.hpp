#pragma once

#include <chrono>
#include <cstdint>
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
  class Deferral final : Job, Patience {
   public:
    explicit Deferral(Deferrals& owner) : owner_(owner) {}

   private:
    friend class Deferrals;
    void run() noexcept override;
    bool is_over() noexcept override;

    Deferrals& owner_;
    TaskRecord* task_ = nullptr;
    std::uint64_t seen_ = 0;  ///< how far the run was
    std::chrono::steady_clock::time_point since_, next_look_;
    CoreSlot slot_;  ///< of no core
    std::optional<Error> failure_;
  };

  /// Both are called by threads of deferrals, without the baton. `over`: it is over, so take it and call
  /// end(). `progress`: how far the run is, while nothing but deferrals is under way; nothing: something is.
  Deferrals(CoreThreads& threads, Whereabouts& whereabouts, std::function<void(Deferral&)> over,
            std::function<std::optional<std::uint64_t>()> progress)
      : threads_(threads),
        whereabouts_(whereabouts),
        over_(std::move(over)),
        progress_(std::move(progress)) {}

  /// `gives_up`: a deferral fails while a run does not go on for as long as SIMPLER_SCHEDULER_TIMEOUT_MS
  /// says.
  void begin(KernelHost& kernels, bool gives_up) noexcept {
    kernels_ = &kernels;
    gives_up_ = gives_up;
  }
  /// How many wait.
  std::size_t active() const noexcept { return all_.size() - idle_.size(); }

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
  const std::function<std::optional<std::uint64_t>()> progress_;
  bool gives_up_ = false;
  std::chrono::milliseconds limit_{};  ///< of the run
  KernelHost* kernels_ = nullptr;
  std::deque<Deferral> all_;
  std::vector<Deferral*> idle_;
};

}  // namespace troupe::platform::sim
