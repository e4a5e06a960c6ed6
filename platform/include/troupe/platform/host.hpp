#pragma once

// What a process lends to its device contexts. Contexts share ownership of their host; the host owns contexts
// that could not be destroyed. Any thread may call anything.
// Errors: `false` for a task or thread that was not accepted, with nothing changed. A task that was accepted
// is called exactly once.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "troupe/runtime/export.hpp"

namespace troupe::platform {

/// The services that a process lends to its device contexts: time, deferred calls and threads. Contexts share
/// their host and nothing else. `HostThreads` is the real one; `ManualHost` runs everything on the caller's
/// thread with a virtual clock. Thread-safe.
///
/// A host also keeps the contexts that were given up on because a kernel does not return: they, and the host
/// with them, stay alive until `sweep_quarantine` can destroy them. Why not join or kill: a thread inside
/// foreign code can be neither waited for nor ended.
class TROUPE_API Host {
 public:
  /// Called once: with 0, or with 1 when the host ends first (then it only frees the things that `arg` owns).
  using Task = void (*)(void* arg, std::int32_t cancelled);
  using Body = void (*)(void* arg);

  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host();

  /// Nanoseconds of a clock that never goes back.
  virtual std::uint64_t now() noexcept = 0;
  /// Calls `task(arg, 0)` in `delay_ns`, never from inside this call. False: not accepted, `arg` untouched.
  virtual bool post(std::uint64_t delay_ns, Task task, void* arg) noexcept = 0;
  /// Calls `body(arg)` on a thread that is its own until it returns. False: not accepted.
  virtual bool start_thread(const char* name, Body body, void* arg) noexcept = 0;
  /// Whether this host has threads at all. Without them, devices do their work in deferred calls. With them,
  /// work that gets no thread fails, because it would hold up the thread that makes the deferred calls.
  virtual bool has_threads() const noexcept { return true; }

  /// Takes over a context that could not be destroyed. `retry` tries again and tells whether it is gone.
  void quarantine(std::function<bool()> retry);
  /// How many contexts are kept.
  [[nodiscard]] std::size_t quarantined() const;
  /// Tries to destroy the kept contexts; returns how many are still kept. May block for their grace.
  std::size_t sweep_quarantine();

 private:
  mutable std::mutex quarantine_mutex_;
  std::vector<std::function<bool()>> quarantine_;
};

}  // namespace troupe::platform
