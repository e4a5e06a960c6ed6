#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "recent_failures.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// Calls the host function of a task. Exceptions become `function_failed`, naming the function.
std::optional<Error> call_function(const TaskRequest& request);

/// The queue between a sub-worker and its thread. The thread takes requests in order and skips those whose
/// producer in the queue failed. Results gather until they are taken; none waits for the next function.
class TROUPE_API FunctionQueue {
 public:
  /// `news`: there are results to take, called once until they are. `recorder`: null when no trace is taken;
  /// `lane`: where the functions appear in it. `path`: whose they are, for crash reports; empty: none is
  /// made.
  explicit FunctionQueue(std::function<void()> news, std::shared_ptr<const Recorder> recorder = nullptr,
                         LaneId lane = 0, std::string path = {})
      : news_(std::move(news)), recorder_(std::move(recorder)), lane_(lane), path_(std::move(path)) {}

  void push(std::vector<TaskRequest> requests);
  /// There is no thread to run these on: they have failed with `reason`, and what follows them is skipped.
  /// Only while nobody is inside work() or drain().
  std::vector<TaskResult> refuse(const std::vector<TaskRequest>& requests, const Error& reason);
  /// Removes what has not started. `inside`: the number of the function that has and is meant; 0: none.
  std::vector<TaskResult> cancel(const Cancel& cancel, std::uint64_t& inside);
  /// The name of function number `inside` while the thread is inside it.
  std::string still_inside(std::uint64_t inside) const;
  /// The thread ends after the function it is in.
  void stop();
  /// What the thread does until stop().
  void work();
  /// Runs everything that is queued, here: for hosts without threads.
  void drain();

  std::vector<TaskResult> take_results();

  std::string current() const;
  /// What a task waits for here, in words; empty: it is not here.
  std::string why(const Why& question) const;
  std::size_t queued() const;

 private:
  TaskResult run(TaskRequest& request);
  void take_next(std::unique_lock<std::mutex>& guard, TaskRequest& request);
  void ended(TaskResult result);

  std::function<void()> news_;
  std::shared_ptr<const Recorder> recorder_;
  LaneId lane_;
  const std::string path_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<TaskRequest> queue_;
  std::vector<TaskResult> results_;  ///< not taken yet
  std::string current_;
  TaskKey current_key_;
  bool current_given_up_ = false;
  std::vector<TaskKey> given_up_;  ///< before they began
  std::uint64_t started_ = 0;      ///< functions so far: their numbers
  bool stopped_ = false;
  /// Of the thread only. Requests that may be unanswered at once are far fewer than half of it.
  RecentFailures failures_{4096};
};

}  // namespace troupe::actors
