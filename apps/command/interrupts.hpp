#pragma once

#include <csignal>
#include <optional>

namespace troupe::apps {

/// Ctrl-C and SIGTERM as something to wait for. No code runs in a signal handler: the signals are blocked and
/// arrive through a descriptor. Make it first thing in `main`: only threads that start later inherit the
/// mask.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();  ///< signals work as before
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Readable when a signal is there.
  int descriptor() const noexcept { return descriptor_; }
  /// Takes a signal that is there. The next one ends the process at once, as it would any other.
  std::optional<int> take();

 private:
  void restore() noexcept;

  sigset_t before_;
  int descriptor_ = -1;
  bool blocked_ = false;
};

/// A one-way signal between threads that can be waited for together with interrupts.
class Flag {
 public:
  Flag();
  ~Flag();
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

  void raise() noexcept;  ///< any thread, any number of times
  int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

enum class Woken { flag, interrupt, tick };

/// Waits until the flag is raised, a signal comes, or (when `tick_ms` is not negative) time has passed.
/// `interrupts` may be null.
[[nodiscard]] Woken wait_for(const Flag& flag, const Interrupts* interrupts, int tick_ms);

}  // namespace troupe::apps
