#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "threads/host_services.hpp"

namespace troupe::platform::common {

/// Something to be run on a thread of its own. Owned by its starter; must live until `run` returned.
class Job {
 public:
  virtual void run() noexcept = 0;

 protected:
  ~Job() = default;
};

/// The threads that play the cores of one chip. They are started when first needed, as many as must run at
/// the same time, reused, and asleep while there is nothing to do. Safe from any thread.
class CoreThreads {
 public:
  struct Thread {
    CoreThreads* owner = nullptr;
    std::atomic<std::uint32_t> signal{0};
    Job* job = nullptr;
  };

  explicit CoreThreads(HostServices& host) : host_(host) {}
  /// `close` must have succeeded, or the object must be kept.
  ~CoreThreads() = default;
  CoreThreads(const CoreThreads&) = delete;
  CoreThreads& operator=(const CoreThreads&) = delete;

  /// Runs the job at once, next to everything else that runs. False: the host gave no thread.
  bool start(Job& job);
  /// The same in two steps, for who holds a lock that the job takes: the job begins at `wake`.
  Thread* take(Job& job);
  static void wake(Thread& thread);
  /// Makes sure that `count` more jobs could start at once, so that a set starts as a whole or not at all.
  bool provide(std::size_t count);
  /// Lets idle threads go and waits until all have returned, at most until `deadline`. False: some are still
  /// inside a job.
  bool close(std::chrono::steady_clock::time_point deadline);

  std::size_t threads() const;

 private:
  static void body(void* thread);
  void serve(Thread& thread);
  Thread* add_thread();  // with the mutex held

  HostServices& host_;
  mutable std::mutex mutex_;
  std::condition_variable returned_;
  std::deque<Thread> all_;
  std::vector<Thread*> idle_;
  std::size_t alive_ = 0;
  bool closing_ = false;
};

}  // namespace troupe::platform::common
