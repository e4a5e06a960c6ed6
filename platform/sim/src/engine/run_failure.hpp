#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "common.hpp"
#include "runs/runs.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

/// Why a run has failed: its first failure, after which nothing starts any more. The code is for any thread;
/// everything else is done with the baton. Every task asks for the code: it has a cache line of its own.
class alignas(64) RunFailure {
 public:
  void reset() noexcept {
    error_.reset();
    abort_announced_ = false;
    code_.store(0, std::memory_order_relaxed);
  }
  /// False: the run has failed before.
  bool set(const Error& error) {
    if (error_) return false;
    error_ = error;
    code_.store(error.code().value, std::memory_order_relaxed);
    return true;
  }
  /// 0: nothing has failed so far.
  std::int32_t code() const noexcept { return code_.load(std::memory_order_relaxed); }
  const std::optional<Error>& error() const noexcept { return error_; }

  /// An abort while the program's thread works without the baton: nothing starts any more, but the graph is
  /// in that thread's hands, which makes it the failure as soon as it looks.
  void announce_abort() noexcept {
    abort_announced_ = true;
    code_.store(static_cast<std::int32_t>(Errc::aborted), std::memory_order_relaxed);
  }
  /// Whether one was announced since the last call.
  bool take_announced() noexcept { return std::exchange(abort_announced_, false); }

 private:
  std::optional<Error> error_;
  std::atomic<std::int32_t> code_{0};
  bool abort_announced_ = false;
};

}  // namespace troupe::platform::sim
