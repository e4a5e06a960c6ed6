#include "threads/scheduling.hpp"

#include <algorithm>
#include <caf/all.hpp>
#include <caf/detail/thread_safe_actor_clock.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "threads/cannot_go_on.hpp"

namespace troupe::actors {
namespace {

/// CAF tells its clock of every actor that ends, which wakes the clock's thread each time: about 8 µs for
/// each run and each coroutine. This one passes it on only for actors that have set a timeout.
class SparingClock final : public caf::detail::thread_safe_actor_clock {
 public:
  explicit SparingClock(thread_safe_actor_clock& timer) : timer_(&timer) {}

  void set_ordinary_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type,
                            std::uint64_t id) override {
    note(self);
    timer_->set_ordinary_timeout(t, self, type, id);
  }
  void set_multi_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type,
                         std::uint64_t id) override {
    note(self);
    timer_->set_multi_timeout(t, self, type, id);
  }
  void set_request_timeout(time_point t, caf::abstract_actor* self, caf::message_id id) override {
    note(self);
    timer_->set_request_timeout(t, self, id);
  }
  void cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) override {
    timer_->cancel_ordinary_timeout(self, type);
  }
  void cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) override {
    timer_->cancel_request_timeout(self, id);
  }
  void cancel_timeouts(caf::abstract_actor* self) override {
    if (forget(self)) timer_->cancel_timeouts(self);
  }
  void schedule_message(time_point t, caf::strong_actor_ptr receiver,
                        caf::mailbox_element_ptr content) override {
    timer_->schedule_message(t, std::move(receiver), std::move(content));
  }
  void schedule_message(time_point t, caf::group target, caf::strong_actor_ptr sender,
                        caf::message content) override {
    timer_->schedule_message(t, std::move(target), std::move(sender), std::move(content));
  }
  void cancel_all() override { timer_->cancel_all(); }

 private:
  void note(caf::abstract_actor* self) {
    std::lock_guard guard(mutex_);
    with_timeouts_.insert(self);
    count_.store(with_timeouts_.size(), std::memory_order_relaxed);
  }
  /// An actor sets its timeouts and ends on one thread at a time, so the count is never behind for it.
  bool forget(caf::abstract_actor* self) {
    if (count_.load(std::memory_order_relaxed) == 0) return false;
    std::lock_guard guard(mutex_);
    const bool known = with_timeouts_.erase(self) > 0;
    count_.store(with_timeouts_.size(), std::memory_order_relaxed);
    return known;
  }

  thread_safe_actor_clock* timer_;
  std::mutex mutex_;
  std::unordered_set<caf::abstract_actor*> with_timeouts_;
  std::atomic<std::size_t> count_{0};
};

/// One of the threads that actors run on.
class SchedulerThread final : public WorkUnit {
 public:
  SchedulerThread(caf::actor_system& system, JobQueue& queue, std::size_t throughput)
      : WorkUnit(&system), queue_(queue), throughput_(throughput) {}

  /// What the thread does, until the queue is closed and empty.
  void serve() {
    queue_.begin_looking(JobQueue::Who::worker);
    while (auto* job = take()) run(job);
    queue_.end_looking(JobQueue::Who::worker);
  }

  void exec_later(caf::resumable* job) override {
    if (next_ == nullptr) {
      next_ = job;
    } else {
      queue_.push(job);
    }
  }
  void begin_user_code() override {
    queue_.end_looking(JobQueue::Who::worker);
    if (next_ != nullptr) queue_.push(std::exchange(next_, nullptr));
  }
  void end_user_code() override { queue_.begin_looking(JobQueue::Who::worker); }
  bool takes_program_of(std::uint64_t) override { return true; }

 private:
  /// A slot is served this often in a row before others get their turn.
  static constexpr int max_streak = 16;

  caf::resumable* take() {
    if (next_ != nullptr) {
      auto* job = std::exchange(next_, nullptr);
      if (++streak_ < max_streak || queue_.empty()) return job;
      queue_.push(job);
    }
    streak_ = 0;
    return queue_.pop();
  }
  void run(caf::resumable* job) {
    switch (resumed(*job, *this, throughput_)) {
      case caf::resumable::resume_later:
        queue_.push(job);
        break;
      case caf::resumable::done:
      case caf::resumable::awaiting_message:
        intrusive_ptr_release(job);
        break;
      case caf::resumable::shutdown_execution_unit:
        break;
    }
  }

  JobQueue& queue_;
  const std::size_t throughput_;
  caf::resumable* next_ = nullptr;
  int streak_ = 0;  ///< jobs taken from the slot in a row while others wait in the queue
};

/// Threads of the host, a queue and a clock. Starts as many threads as it can have; whoever makes the system
/// asks how many (an exception out of here would leave CAF half made). CAF's printer, a thread for each
/// system, is not started: nobody prints with it.
class Scheduler final : public caf::scheduler::abstract_coordinator {
 public:
  explicit Scheduler(caf::actor_system& system)
      : abstract_coordinator(system),
        host_(dynamic_cast<const CafConfig&>(system.config()).host()),
        sparing_(timer_) {}

  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>) {
    return std::make_unique<Scheduler>(system).release();
  }

  void start() override {
    has_clock_ = launch("troupe-clock", [this] { timer_.run_dispatch_loop(); });
    if (!has_clock_) return;
    threads_.reserve(num_workers());
    while (threads_.size() < num_workers()) {
      auto thread = std::make_unique<SchedulerThread>(system(), queue_, max_throughput());
      if (!launch("troupe-actors", [work = thread.get()] { work->serve(); })) break;
      threads_.push_back(std::move(thread));
    }
    wait_until_begun();
  }
  void stop() override {
    queue_.close();
    wait_until_left(has_clock_ ? 1 : 0);
    queue_.drain(&abstract_coordinator::cleanup_and_release);
    if (has_clock_) timer_.cancel_dispatch_loop();
    wait_until_left(0);
  }
  void enqueue(caf::resumable* job) override { queue_.push(job); }
  SparingClock& clock() noexcept override { return sparing_; }

  JobQueue& queue() { return queue_; }
  std::size_t threads() const { return threads_.size(); }

 private:
  struct Launch {
    Scheduler* scheduler;
    std::function<void()> work;
  };

  bool launch(const char* name, std::function<void()> work) {
    auto own = std::make_unique<Launch>(Launch{this, std::move(work)});
    {
      std::lock_guard guard(mutex_);
      ++running_;
    }
    if (host_->start_thread(name, &Scheduler::body, own.get())) {
      (void)own.release();
      std::lock_guard guard(mutex_);
      ++launched_;
      return true;
    }
    std::lock_guard guard(mutex_);
    --running_;
    return false;
  }
  static void body(void* launched) {
    std::unique_ptr<Launch> own(static_cast<Launch*>(launched));
    auto& scheduler = *own->scheduler;
    CAF_SET_LOGGER_SYS(&scheduler.system());  // so that CAF has what it keeps for a thread
    scheduler.system().thread_started();
    scheduler.has_begun();
    own->work();
    own.reset();
    scheduler.system().thread_terminates();
    without_logger();
    std::lock_guard guard(scheduler.mutex_);
    --scheduler.running_;
    scheduler.changed_.notify_all();
  }
  /// What CAF keeps for a thread is registered with glibc as the thread begins, and glibc ends the process
  /// where it finds no memory for that: nobody takes the memory that these threads were started with before.
  void wait_until_begun() {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return begun_ == launched_; });
  }
  void has_begun() {
    std::lock_guard guard(mutex_);
    ++begun_;
    changed_.notify_all();
  }
  void wait_until_left(int count) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return running_ == count; });
  }

  std::shared_ptr<platform::Host> host_;
  JobQueue queue_;
  caf::detail::thread_safe_actor_clock timer_;
  SparingClock sparing_;
  std::vector<std::unique_ptr<SchedulerThread>> threads_;
  bool has_clock_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  int running_ = 0;               ///< threads
  int launched_ = 0, begun_ = 0;  ///< of them, ever
};

Scheduler* own_scheduler(caf::actor_system& system) { return dynamic_cast<Scheduler*>(&system.scheduler()); }

}  // namespace

JobQueue* shared_queue(caf::actor_system& system) {
  auto* scheduler = own_scheduler(system);
  return scheduler != nullptr ? &scheduler->queue() : nullptr;
}

std::size_t scheduler_threads(caf::actor_system& system) {
  const auto* scheduler = own_scheduler(system);
  return scheduler != nullptr ? scheduler->threads() : 0;
}

CafConfig::CafConfig(bool deterministic, std::size_t threads, std::shared_ptr<platform::Host> host)
    : host_(std::move(host)) {
  if (deterministic) {
    set("scheduler.policy", caf::atom("testing"));
    return;
  }
  if (threads == 0) threads = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  set("scheduler.max-threads", threads);
  // Unlimited by default, with which one busy actor starves all others.
  set("scheduler.max-throughput", std::size_t{300});
  load<Scheduler>();
}

}  // namespace troupe::actors
