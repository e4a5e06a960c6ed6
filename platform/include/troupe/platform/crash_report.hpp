#pragma once

// Says what a thread was inside of when the process crashes. Signal handlers belong to the process: they are
// installed while a CrashReport lives, and at no other time. set_running() concerns the calling thread only
// and borrows what it points to until the next call. Any thread may make reports. Errors: none are reported;
// without a spare thread only the sentence is written.

#include <functional>
#include <memory>
#include <string>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/export.hpp"

namespace troupe::platform {

/// Records what the calling thread is inside of (null: nothing), for a crash report; returns the record from
/// before. The record must stay unchanged until it is replaced. A few nanoseconds; the first call of a thread
/// gives it a stack for signal handlers.
TROUPE_API troupe_running* set_running(troupe_running* what) noexcept;

/// The facts that a crash report hands on.
struct Crash {
  std::string
      sentence;  ///< "kernel 'k' of task 't' on node0/chip1 (aiv24) crashed: …"; empty: in none of them
  std::string where;  ///< whose chip; empty: of none
};

/// While one lives, a crash of this process (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) is told on standard
/// error, with what the thread was inside of, and `last_words` is called on a thread of its own, so that a
/// trace can still be written. Then the process goes on to die as it would have: the handlers from before are
/// back, so core dumps, debuggers, sanitizers and exit statuses are as without it.
///
/// The embedding program decides about this: nothing here installs signal handlers by itself. Any number of
/// reports; the handlers go with the last.
///
/// `last_words` must not wait for the thread that has crashed. If it does not return within ten seconds, for
/// example because the crash left the heap locked, the process dies without it.
class TROUPE_API CrashReport {
 public:
  using LastWords = std::function<void(const Crash&)>;
  /// When no thread can be started there are no last words, only the sentence.
  explicit CrashReport(LastWords last_words);
  ~CrashReport();
  CrashReport(const CrashReport&) = delete;
  CrashReport& operator=(const CrashReport&) = delete;

 private:
  LastWords last_words_;
};

}  // namespace troupe::platform
