// A host that lends as many threads as it is told to: what a process meets under `ulimit -u`, which does not
// bind the super-user that tests may run as.
#pragma once
#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/platform/host_threads.hpp"

namespace troupe::tests {

class FewThreads final : public platform::Host {
 public:
  std::uint64_t now() noexcept override { return threads_.now(); }
  bool post(std::uint64_t delay_ns, Task task, void* arg) noexcept override {
    return threads_.post(delay_ns, task, arg);
  }
  bool start_thread(const char* name, Body body, void* arg) noexcept override {
    {
      std::lock_guard guard(mutex_);
      if (std::find(refused_.begin(), refused_.end(), name) != refused_.end() || left_ == 0) return false;
      --left_;
    }
    return threads_.start_thread(name, body, arg);
  }

  /// No more than so many from now on; those that have been lent do not come back.
  void leave(int count) {
    std::lock_guard guard(mutex_);
    left_ = count;
  }
  /// None for this purpose ("troupe-sub").
  void refuse(std::string name) {
    std::lock_guard guard(mutex_);
    refused_.push_back(std::move(name));
  }
  void refuse_nothing() {
    std::lock_guard guard(mutex_);
    refused_.clear();
    left_ = plenty;
  }

 private:
  static constexpr int plenty = 1'000'000;
  platform::HostThreads threads_;
  std::mutex mutex_;
  std::vector<std::string> refused_;
  int left_ = plenty;
};

}  // namespace troupe::tests
