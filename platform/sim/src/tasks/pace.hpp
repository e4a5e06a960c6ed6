#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.hpp"
#include "tasks/task_record.hpp"

namespace troupe::platform::sim {

/// How long kernels take, what handing one over to another thread costs, and so which kind of task one is.
/// What is known of a kernel lies in its entry and stays; the cost of handing over is found anew in each run.
/// With the baton, or by the program's thread while it is alone; `learn` is for any thread.
class Pace {
 public:
  void begin() noexcept { submits_ = hand_over_ticks_ = 0; }

  /// Whether handing it over would cost more than running it.
  bool is_quick(const KernelEntry& entry) const noexcept {
    const std::uint32_t usual = entry.usual_ticks.load(std::memory_order_relaxed);
    if (usual == 0) return false;
    const std::uint32_t microsecond = ticks_per_microsecond();
    return usual < std::clamp(hand_over_ticks_, microsecond * 2 / 5, microsecond * longest_quick);
  }

  Kind kind_of(const TaskRecord& task) const noexcept {
    return kind_of(*task.entry, task.blocks * task.lane_count, task.lanes[TROUPE_CHIP_AIC] != nullptr,
                   task.is_store);
  }
  /// Of a task that makes that many calls.
  Kind kind_of(const KernelEntry& entry, std::uint32_t calls, bool on_aic, bool is_store) const noexcept {
    if (calls > 1) return kinds::set;
    if (entry.waits.load(std::memory_order_relaxed)) return on_aic ? kinds::lone_aic : kinds::lone_aiv;
    if (is_store || is_quick(entry)) return on_aic ? kinds::quick_aic : kinds::quick_aiv;
    const std::uint32_t usual = entry.usual_ticks.load(std::memory_order_relaxed);
    if (usual != 0 && usual < ticks_per_microsecond() * longest_short)
      return on_aic ? kinds::short_aic : kinds::short_aiv;
    return on_aic ? kinds::aic : kinds::aiv;
  }

  /// Counts a submit. True: it is time for the program's thread to look for work.
  bool submitted() noexcept {
    if (++submits_ % forget_interval == 0) hand_over_ticks_ -= hand_over_ticks_ / 4;
    return submits_ % help_interval == 0;
  }

  std::uint32_t submits() const noexcept { return submits_; }

  /// What a helper needed from one short kernel to the next, per task.
  void handed_over(std::uint64_t ticks_taken) noexcept {
    hand_over_ticks_ = learnt(hand_over_ticks_, ticks_taken);
  }

  /// How long a kernel usually takes; 0 stays "never measured".
  static void learn(KernelEntry& entry, std::uint64_t ticks_taken) noexcept {
    entry.usual_ticks.store(learnt(entry.usual_ticks.load(std::memory_order_relaxed), ticks_taken),
                            std::memory_order_relaxed);
  }

  static constexpr std::uint32_t help_interval = 32;
  /// What handing over costs is forgotten by and by, so that it is tried again.
  static constexpr std::uint32_t forget_interval = 4096;

 private:
  // What the program's thread may run in between, in microseconds: less than what waking another one costs.
  static constexpr std::uint32_t longest_short = 20;
  // What it runs rather than hand it over, at most: as long as that takes, and at least 0.4.
  static constexpr std::uint32_t longest_quick = 3;

  // A forgetful mean, never 0. Falls at once and rises slowly: what made one call long was more often the
  // host, which ran something else, than the kernel.
  static std::uint32_t learnt(std::uint32_t usual, std::uint64_t ticks_taken) noexcept {
    constexpr std::uint64_t longest = 1u << 30;
    const auto taken = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(ticks_taken, 1, longest));
    std::uint32_t next = taken;
    if (usual != 0 && taken < usual) next = usual / 2 + taken / 2;
    if (usual != 0 && taken > usual) next = usual + std::max(std::min(taken - usual, usual) / 4, 1u);
    return std::max(next, 1u);
  }

  std::uint32_t submits_ = 0;
  std::uint32_t hand_over_ticks_ = 0;
};

}  // namespace troupe::platform::sim
