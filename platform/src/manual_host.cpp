#include "troupe/platform/manual_host.hpp"

#include <algorithm>
#include <limits>

namespace troupe::platform {

ManualHost::~ManualHost() {
  for (auto& [due, task] : tasks_) task.first(task.second, 1);
}

std::uint64_t ManualHost::now() noexcept {
  std::lock_guard lock{mutex_};
  return now_;
}

bool ManualHost::post(std::uint64_t delay_ns, Task task, void* arg) noexcept {
  std::lock_guard lock{mutex_};
  const auto room = std::numeric_limits<std::uint64_t>::max() - now_;
  tasks_.emplace(std::pair{now_ + std::min(delay_ns, room), posted_++}, std::pair{task, arg});
  return true;
}

bool ManualHost::start_thread(const char*, Body, void*) noexcept { return false; }

bool ManualHost::step_until(std::uint64_t limit) {
  std::pair<Task, void*> task;
  {
    std::lock_guard lock{mutex_};
    if (tasks_.empty() || tasks_.begin()->first.first > limit) return false;
    now_ = std::max(now_, tasks_.begin()->first.first);
    task = tasks_.begin()->second;
    tasks_.erase(tasks_.begin());
  }
  task.first(task.second, 0);
  return true;
}

bool ManualHost::step() { return step_until(std::numeric_limits<std::uint64_t>::max()); }

std::size_t ManualHost::run() {
  std::size_t count = 0;
  while (step()) ++count;
  return count;
}

std::size_t ManualHost::advance(std::uint64_t ns) {
  const auto before = now();
  const std::uint64_t limit = before + std::min(ns, std::numeric_limits<std::uint64_t>::max() - before);
  std::size_t count = 0;
  while (step_until(limit)) ++count;
  std::lock_guard lock{mutex_};
  now_ = std::max(now_, limit);
  return count;
}

std::size_t ManualHost::pending() const {
  std::lock_guard lock{mutex_};
  return tasks_.size();
}

std::uint64_t ManualHost::next_due() const {
  std::lock_guard lock{mutex_};
  return tasks_.empty() ? std::numeric_limits<std::uint64_t>::max() : tasks_.begin()->first.first;
}

}  // namespace troupe::platform
