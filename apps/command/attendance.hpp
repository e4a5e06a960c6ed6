#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "command/interrupts.hpp"
#include "command/progress.hpp"
#include "troupe/actors/system.hpp"

namespace troupe::apps {

/// How a run that was attended came to its end.
enum class Ended { by_itself, interrupted, out_of_time };

/// Waits for one run: keeps the terminal's line up to date, hears Ctrl-C, watches the time. A run that is
/// ended from here says first what it waits for. One that does not end then (its program computes on, and
/// nothing can stop it from outside) is left alone after a grace. Make it before the run is submitted.
class Attendance {
 public:
  /// `timeout_seconds` 0: none.
  Attendance(const actors::Node& node, Interrupts& interrupts, const Console& console, Progress& progress,
             int timeout_seconds);
  Ended wait_for_end(const actors::Handle& handle, const std::string& title);

 private:
  using Clock = std::chrono::steady_clock;
  void end(const actors::Handle& handle, const std::string& why);
  void show(const std::string& title);
  int next() const;

  const actors::Node& node_;
  Interrupts& interrupts_;
  Progress& progress_;
  const bool terminal_;
  const Clock::time_point begin_ = Clock::now();
  std::optional<Clock::time_point>
      until_;                 ///< when it is out of time; once it was asked to end: when to leave
  std::uint64_t before_ = 0;  ///< tasks that ended in earlier runs
};

/// "1 task", "2 tasks".
inline std::string plural(std::uint64_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

}  // namespace troupe::apps
