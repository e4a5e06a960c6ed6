#pragma once

#include <cstdint>

#include "engine/crew.hpp"
#include "engine/deadlock.hpp"
#include "engine/schedule.hpp"
#include "engine/whereabouts.hpp"

namespace troupe::platform::sim {

/// What the program waits for in its calls to the chip. Its thread alone, with the baton; while it waits it
/// works with the crew. False: what it waits for does not come, and the run has failed.
class ProgramWaits {
 public:
  ProgramWaits(Schedule& schedule, Whereabouts& threads, const DeadlockProof& deadlock, Crew& crew)
      : schedule_(schedule), threads_(threads), deadlock_(deadlock), crew_(crew) {}

  /// `held`: nothing of the graph runs before the program has returned.
  void begin(bool edges_by_hand, bool held) noexcept {
    edges_by_hand_ = edges_by_hand;
    held_ = held;
  }

  /// For a place in the task window.
  bool for_room(Crew::Lock& lock) { return schedule_.graph().has_room() || wait_for_room(lock); }
  /// Until an element may be touched as `tag` says.
  bool for_element(const runtime::Tensor& tensor, std::uint64_t element, runtime::Tag tag, Crew::Lock& lock);
  /// Until these bytes may be touched, also for tasks that took no part in dependencies, and `creator` (may
  /// be none) has ended.
  bool for_access(const runtime::Access& access, runtime::TaskId creator, Crew::Lock& lock);
  /// Until an intermediate that was asked for has its memory.
  bool for_memory(const runtime::BufferRef& buffer, Crew::Lock& lock) {
    return schedule_.graph().placement(buffer) || wait_for_memory(buffer, lock);
  }

 private:
  bool wait_for_room(Crew::Lock& lock);
  bool wait_for_memory(const runtime::BufferRef& buffer, Crew::Lock& lock);
  template <class Settled>
  bool wait_until(Settled settled, Crew::Lock& lock);

  Schedule& schedule_;
  Whereabouts& threads_;
  const DeadlockProof& deadlock_;
  Crew& crew_;
  bool edges_by_hand_ = false, held_ = false;
};

}  // namespace troupe::platform::sim
