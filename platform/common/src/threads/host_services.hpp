#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "troupe/platform/device_abi.h"

namespace troupe::platform::common {

/// The host's table with the defaults filled in where it left something out. Immutable after construction;
/// safe from any thread as far as the host's entries are.
class HostServices {
 public:
  explicit HostServices(const troupe_host* host);
  HostServices(const HostServices&) = delete;
  HostServices& operator=(const HostServices&) = delete;
  /// Waits for the threads that the default `start_thread` made.
  ~HostServices();

  void log(troupe_log_level level, std::int32_t code, const std::string& text) const noexcept;
  std::uint64_t now() const noexcept;
  /// False: there is no thread for it.
  bool start_thread(const char* name, void (*body)(void*), void* argument) noexcept;
  /// Whether the host has refused one because it never gives any.
  bool is_threadless() const noexcept { return threadless_.load(std::memory_order_relaxed); }
  bool post(void (*task)(void*, std::int32_t), void* argument) noexcept;

  bool traces() const noexcept { return table_.trace != nullptr; }
  bool dumps() const noexcept { return table_.dump != nullptr; }
  bool tells() const noexcept { return table_.running != nullptr; }
  troupe_running* running(troupe_running* what) const noexcept { return table_.running(table_.data, what); }
  bool completes() const noexcept { return table_.complete != nullptr; }
  bool posts() const noexcept { return table_.post != nullptr; }
  void trace(const troupe_trace_event* events, std::size_t count) const {
    table_.trace(table_.data, events, count);
  }
  void dump(const troupe_dump_record& record) const { table_.dump(table_.data, &record); }
  void complete(const troupe_completion* completions, std::size_t count) const {
    table_.complete(table_.data, completions, count);
  }

 private:
  struct OwnThread;
  static void* run_own_thread(void* thread);

  troupe_host table_{};
  std::mutex mutex_;
  std::condition_variable all_returned_;
  std::size_t own_threads_ = 0;
  std::atomic<bool> threadless_{false};
};

/// While it lives, the host knows what this thread is inside of, should it crash there.
class Telling {
 public:
  /// `fill(what)` is called if the host wants to know; null: there is none.
  template <class Fill>
  Telling(const HostServices& host, Fill fill) : Telling(&host, fill) {}
  template <class Fill>
  Telling(const HostServices* host, Fill fill) : host_(host != nullptr && host->tells() ? host : nullptr) {
    if (host_ == nullptr) return;
    what_ = {};
    fill(what_);
    before_ = host_->running(&what_);
  }
  ~Telling() {
    if (host_ != nullptr) host_->running(before_);
  }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;

 private:
  const HostServices* host_;
  troupe_running* before_ = nullptr;
  troupe_running what_;
};

}  // namespace troupe::platform::common
