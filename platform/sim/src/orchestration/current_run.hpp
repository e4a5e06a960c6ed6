#pragma once

namespace troupe::platform::sim {

class ObjectRun;

/// The run whose orchestration this thread is inside of. The logging functions of the other system's table
/// get neither runtime nor run, so nothing but the thread can tell them where a line belongs.
class CurrentRun {
 public:
  explicit CurrentRun(ObjectRun& run) noexcept;
  ~CurrentRun();
  CurrentRun(const CurrentRun&) = delete;
  CurrentRun& operator=(const CurrentRun&) = delete;

  /// Null on a thread of the object's own.
  static ObjectRun* get() noexcept;

 private:
  ObjectRun* const before_;
};

}  // namespace troupe::platform::sim
