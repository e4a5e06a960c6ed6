#pragma once

#include <functional>
#include <memory>
#include <string>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/export.hpp"

namespace troupe::platform {

/// Sets what the calling thread is inside of (null: of nothing), for a crash report; answers what it was
/// inside of before. What it points to stays as it is until it is replaced. A few nanoseconds; the first call
/// of a thread gives it a stack for signal handlers.
TROUPE_API troupe_running* set_running(troupe_running* what) noexcept;

/// What a crash report hands on.
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
/// Whoever embeds troupe decides: signal handlers belong to the process, and nothing here installs them by
/// itself. Any number of reports; the handlers go with the last.
///
/// `last_words` must not wait for the thread that has crashed. If it does not return within ten seconds, for
/// example because the crash left the heap locked, the process dies without it.
class TROUPE_API CrashReport {
 public:
  using LastWords = std::function<void(const Crash&)>;
  /// When no thread can be had there are no last words, only the sentence.
  explicit CrashReport(LastWords last_words);
  ~CrashReport();
  CrashReport(const CrashReport&) = delete;
  CrashReport& operator=(const CrashReport&) = delete;

 private:
  LastWords last_words_;
};

}  // namespace troupe::platform
