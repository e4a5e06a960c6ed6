#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/schedule.hpp"
#include "engine/whereabouts.hpp"
#include "kernels/kernels.hpp"

namespace troupe::platform::sim {

/// The proof that nothing can come any more: every kernel that runs is parked in a wait that only kernels of
/// the run can end, nothing that is ready has a core and a thread, and the program has returned or waits
/// itself. Finds, and changes nothing. With the baton.
class DeadlockProof {
 public:
  DeadlockProof(const Schedule& schedule, const Whereabouts& threads)
      : schedule_(schedule), threads_(threads) {}

  void begin(const FlagWaits& flags, std::uint32_t task_window, bool edges_are_limited) noexcept {
    flags_ = &flags;
    edges_are_limited_ = edges_are_limited;
    task_window_ = task_window;
  }

  /// What has to be done when nothing comes any more; nothing of it: something may come.
  struct Finding {
    std::optional<Error> failure;    ///< the run fails with this,
    bool ends_waits = false;         ///< its kernels wait in vain,
    bool ends_program_wait = false;  ///< its program does, and says itself what for
  };
  /// To be asked by a thread that finds nothing to take up, before it sleeps.
  Finding look() const {
    if (!schedule_.is_active() || threads_.program_stuck) return {};
    if (threads_.program_works()) return {};  // it brings about the next thing itself
    if (threads_.executing != flags_->closed()) return {};
    return look_closer();
  }

  // Why the program waits in vain.
  Error stuck_for_room() const;
  Error stuck_for_element() const;
  Error stuck_for_memory() const;

 private:
  Finding look_closer() const;
  std::string flags_waited_for() const;

  const Schedule& schedule_;
  const Whereabouts& threads_;
  bool edges_are_limited_ = false;
  const FlagWaits* flags_ = nullptr;
  std::uint32_t task_window_ = 0;
};

}  // namespace troupe::platform::sim
