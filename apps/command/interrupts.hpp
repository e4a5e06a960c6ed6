#pragma once

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace troupe::apps {

/// Ctrl-C and SIGTERM as something to wait for. No code runs in a signal handler: the signals are blocked and
/// arrive through a descriptor. Make it before any thread starts (only later ones inherit the mask), and only
/// when somebody is going to listen: until it is let go, nothing else ends the process.
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
  /// Nobody listens any more: a signal that is there, or comes, ends the process.
  void let_go() noexcept { restore(); }

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

/// A thread of the command's own; throws `out_of_threads`, naming `what` it was for.
std::thread start_thread(std::function<void()> work, const std::string& what);

enum class Woken { flag, interrupt, tick };

/// Waits until the flag is raised, a signal comes, or (when `tick_ms` is not negative) time has passed.
/// `interrupts` may be null.
[[nodiscard]] Woken wait_for(const Flag& flag, const Interrupts* interrupts, int tick_ms);

/// While it lives, a signal ends the process at once, with `say` on standard error: for work that nobody can
/// ask to be given up. One that comes when the work has just been done is left for the next who listens.
class EndAtOnce {
 public:
  EndAtOnce(const Interrupts& interrupts, std::string say);
  ~EndAtOnce();
  EndAtOnce(const EndAtOnce&) = delete;
  EndAtOnce& operator=(const EndAtOnce&) = delete;

 private:
  Flag done_;
  std::thread listener_;
};

}  // namespace troupe::apps
