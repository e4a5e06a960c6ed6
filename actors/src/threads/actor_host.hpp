#pragma once

#include <caf/all.hpp>
#include <memory>
#include <mutex>

#include "troupe/platform/host_threads.hpp"

namespace troupe::actors {

/// The host of a running system: threads are real ones, deferred calls run as messages of an actor, so that a
/// device that only needs a turn (not a thread) gets it without a wake-up. Before `attach` and after `detach`
/// deferred calls go to the threads.
class ActorHost final : public platform::Host {
 public:
  std::uint64_t now() noexcept override { return threads_->now(); }
  bool post(std::uint64_t delay_ns, Task task, void* arg) noexcept override;
  bool start_thread(const char* name, Body body, void* arg) noexcept override {
    return threads_->start_thread(name, body, arg);
  }

  void attach(caf::actor_system& system);
  void detach();

 private:
  std::shared_ptr<platform::HostThreads> threads_ = std::make_shared<platform::HostThreads>();
  std::mutex mutex_;
  caf::actor turns_;
};

}  // namespace troupe::actors
