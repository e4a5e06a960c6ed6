#pragma once

#include <cstdint>

namespace troupe::platform::sim {

/// What the program's thread waits for in a call to the chip.
enum class ProgramWait : std::uint8_t { nothing, room, element, memory };

/// Where the threads of a run are. With the baton, or by the program's thread while it is alone.
struct Whereabouts {
  /// The program's thread alone takes part in the run, so it needs no baton for what it does. Changed with
  /// the baton.
  bool alone = false;
  bool program_runs = false;                         ///< the program has not returned,
  ProgramWait program_waits = ProgramWait::nothing;  ///< but waits in a call to the chip,
  bool program_stuck = false;                        ///< for what cannot come,
  bool program_helps = false;                        ///< or runs a kernel between two submits
  bool main_inside = false;                          ///< the program's thread is inside a kernel,
  bool main_busy = false;                            ///< which may be long
  bool helpless = false;                             ///< the host has refused a thread
  std::uint32_t executing = 0;                       ///< threads inside kernels,
  std::uint32_t working = 0;  ///< of these in kernels that never waited: they end by themselves
  std::uint32_t looking = 0;  ///< threads that take any work that comes

  /// The counts stay: threads may be on their way out of the run before.
  void begin() noexcept {
    alone = program_stuck = program_helps = main_inside = main_busy = helpless = false;
    program_waits = ProgramWait::nothing;
    program_runs = true;
  }
  /// Whether the program itself goes on now, so that it may still bring something about.
  bool program_works() const noexcept {
    return program_runs && program_waits == ProgramWait::nothing && !program_helps;
  }
  /// Whether no other thread takes part while the program goes on.
  bool could_be_alone() const noexcept { return program_runs && executing == 0 && looking == 0; }
  void main_is_back() noexcept { main_busy = main_inside = false; }
};

}  // namespace troupe::platform::sim
