#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "troupe/platform/device_context.hpp"

namespace troupe::platform {

/// What a context's host table points to: the way from the platform's C callbacks to the host and to the
/// owner's events. Lives until the platform has really destroyed the context, so a quarantined context finds
/// it intact, with its events cut off.
class ContextLink {
 public:
  ContextLink(std::shared_ptr<Host> host, ContextEvents events, const void* platform_data);
  ContextLink(const ContextLink&) = delete;
  ContextLink& operator=(const ContextLink&) = delete;

  [[nodiscard]] const troupe_host& table() const noexcept { return table_; }
  [[nodiscard]] const std::shared_ptr<Host>& host() const noexcept { return host_; }
  /// After this no event is delivered any more; waits for one that is being delivered.
  void cut();
  /// From now on all errors are logged. What the thread that makes the context was told before is why it
  /// could not be made.
  void created();
  /// The text of the latest logged error: why a context could not be created.
  [[nodiscard]] std::string last_logged() const;

 private:
  template <class Deliver>
  void deliver(Deliver&& call) noexcept;

  std::shared_ptr<Host> host_;
  ContextEvents events_;
  troupe_host table_{};
  mutable std::shared_mutex mutex_;
  bool cut_ = false;
  mutable std::mutex log_mutex_;
  std::string last_logged_;
  std::thread::id creator_ = std::this_thread::get_id();
};

}  // namespace troupe::platform
