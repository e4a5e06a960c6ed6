// Runs on their way out: completions in batches, and the end of the queue itself.
#include <algorithm>
#include <utility>

#include "runs/run_queue.hpp"
#include "runs/run_ticket.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

void RunQueue::flush() noexcept {
  const auto delivery = delivery_.begin();
  std::vector<std::unique_ptr<Run>> runs;
  {
    const std::lock_guard lock(mutex_);
    if (finished_.empty() || abandoned_) return;
    runs.swap(finished_);
  }
  delivery_.deliver(runs);
  const std::lock_guard lock(mutex_);
  for (auto& run : runs) {
    run->callable.reset();
    spare_.push_back(std::move(run));
  }
}

bool RunQueue::close(Clock::time_point deadline) {
  std::shared_ptr<Ticket> ticket;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    ticket = ticket_;
  }
  static_cast<void>(abort(TROUPE_ALL_RUNS));
  if (ticket != nullptr) {
    if (ticket->revoke(deadline)) {
      bool pending = false;
      {
        const std::lock_guard lock(mutex_);
        pending = serving_;
      }
      if (pending) serve();
    }
  }
  {
    std::unique_lock lock(mutex_);
    const bool quiet = ended_.wait_until(lock, deadline, [this] { return !serving_ && awaited_.empty(); });
    if (quiet) return true;
  }
  abandon();
  return false;
}

void RunQueue::abandon() {
  {
    const std::lock_guard lock(host_memory_);
    given_up_ = true;
  }
  const auto delivery = delivery_.begin();
  std::vector<std::unique_ptr<Run>> runs;
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_) return;
    abandoned_ = true;
    runs.swap(finished_);
    if (executing_ != nullptr && !executing_->ended) {
      executing_->ended = true;
      ++completed_;
      ++failures_;
      // The kernel's thread still uses the run; report a stand-in.
      auto reported = std::make_unique<Run>();
      reported->correlation = executing_->correlation;
      reported->queued_ns = executing_->queued_ns;
      reported->started_ns = executing_->started_ns;
      reported->finished_ns = host_.now();
      reported->awaited = executing_->awaited;
      reported->outcome = aborted("aborted; its kernel did not return");
      runs.push_back(std::move(reported));
    }
    for (auto& run : queued_) {
      run->ended = true;
      ++completed_;
      ++failures_;
      run->finished_ns = host_.now();
      run->outcome = aborted("aborted before it started");
      runs.push_back(std::move(run));
    }
    queued_.clear();
  }
  std::erase_if(runs, [](const auto& run) { return run->awaited; });
  if (!runs.empty()) delivery_.deliver(runs);
  ended_.notify_all();
}

void RunQueue::report(troupe_device_status& status) const {
  const std::lock_guard lock(mutex_);
  status.runs_queued = queued_.size();
  status.runs_running = executing_ != nullptr && !executing_->ended ? 1 : 0;
  status.runs_completed = completed_;
  status.runs_failed = failures_;
}

}  // namespace troupe::platform::common
