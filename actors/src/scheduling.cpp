#include "scheduling.hpp"

#include <algorithm>
#include <caf/scheduler/coordinator.hpp>
#include <memory>
#include <thread>
#include <unordered_set>

namespace troupe::actors {
namespace {

/// 3 to 25 µs, as long as this processor pauses: longer than the hand-over of a message between running
/// threads.
constexpr int spin_rounds = 60;

/// Jobs at such intervals are worth looking for: waking a thread costs whoever wakes it several microseconds.
constexpr std::chrono::microseconds soon{75};
/// Between two looks lies this much when the processor was given to somebody else meanwhile.
constexpr std::chrono::microseconds displaced{20};
/// Whoever else wants this processor is let through this often.
constexpr std::chrono::microseconds courtesy{10};
/// Short waits in a row before a worker looks for longer: at first, and at most.
constexpr int trust_at_first = 4, trust_at_most = 1024;

}  // namespace

void pause_briefly() {
  for (int i = 0; i < 16; ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
}

void JobQueue::push(caf::resumable* job) {
  bool wake = false;
  {
    std::lock_guard guard(mutex_);
    jobs_.push_back(job);
    size_.store(jobs_.size(), std::memory_order_relaxed);
    wake = must_wake() || (parked_ > 0 && looker_is_away());
  }
  if (wake) wake_.notify_one();
}

/// Who looks for longer has lost its processor: a job must not wait until it is back.
bool JobQueue::looker_is_away() const {
  const auto at = looked_at_.load(std::memory_order_relaxed);
  return at != 0 && Clock::now().time_since_epoch() - Clock::duration(at) > displaced;
}

caf::resumable* JobQueue::try_pop() {
  if (size_.load(std::memory_order_relaxed) == 0) return nullptr;
  std::lock_guard guard(mutex_);
  if (jobs_.empty()) return nullptr;
  auto* job = jobs_.front();
  jobs_.pop_front();
  size_.store(jobs_.size(), std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
  return job;
}

void JobQueue::end_looking(bool caller) {
  std::lock_guard guard(mutex_);
  if (caller) callers_.fetch_sub(1, std::memory_order_relaxed);
  looking_.fetch_sub(1, std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
}

/// Looks as long as it may, which is until `soon` at most, and tells what can be learned from it.
void JobQueue::look_longer(Clock::time_point since) {
  auto last = Clock::now(), yielded = last;
  bool away = false;
  while (callers_suffice() && last - since < soon && !away) {
    looked_at_.store(last.time_since_epoch().count(), std::memory_order_relaxed);
    pause_briefly();
    auto now = Clock::now();
    if (now - yielded > courtesy) {
      std::this_thread::yield();
      yielded = now = Clock::now();
    }
    away = now - last > displaced;
    last = now;
  }
  looked_at_.store(0, std::memory_order_relaxed);
  int needed = trusted_after_.load(std::memory_order_relaxed);
  if (away) {
    // There are more threads than processors.
    short_waits_.store(0, std::memory_order_relaxed);
    needed *= 2;
  } else if (!empty()) {
    --needed;
  }
  trusted_after_.store(std::clamp(needed, trust_at_first, trust_at_most), std::memory_order_relaxed);
}

void JobQueue::look(Clock::time_point since) {
  for (int i = 0; i < spin_rounds && callers_suffice(); ++i) pause_briefly();
  if (!empty() ||
      short_waits_.load(std::memory_order_relaxed) < trusted_after_.load(std::memory_order_relaxed))
    return;
  look_longer(since);
}

/// A wait has ended. What counts is the time since the one before, whoever waited: parked workers take turns.
void JobQueue::waited(Clock::time_point now) {
  const int before = short_waits_.load(std::memory_order_relaxed);
  const bool is_short = now - std::exchange(waited_, now) < soon;
  short_waits_.store(is_short ? std::min(before + 1, trust_at_most) : 0, std::memory_order_relaxed);
}

caf::resumable* JobQueue::pop(bool again) {
  // A running worker counts as one that will look: here it comes.
  if (!again) looking_.fetch_add(1, std::memory_order_relaxed);
  if (!callers_suffice()) {
    if (auto* job = try_pop()) return job;
  }
  const auto since = Clock::now();
  const bool alone = waiting_.fetch_add(1, std::memory_order_relaxed) == 0;
  if (alone) look(since);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  std::unique_lock guard(mutex_);
  while (jobs_.empty()) {
    ++parked_;
    looking_.fetch_sub(1, std::memory_order_relaxed);
    wake_.wait(guard);
    looking_.fetch_add(1, std::memory_order_relaxed);
    --parked_;
  }
  waited(Clock::now());
  auto* job = jobs_.front();
  jobs_.pop_front();
  size_.store(jobs_.size(), std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
  return job;
}

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

class Scheduler final : public caf::scheduler::coordinator<HandOver> {
 public:
  explicit Scheduler(caf::actor_system& system)
      : coordinator(system), sparing_(caf::scheduler::coordinator<HandOver>::clock()) {}

  SparingClock& clock() noexcept override { return sparing_; }
  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>) {
    return std::make_unique<Scheduler>(system).release();
  }

 private:
  SparingClock sparing_;
};

}  // namespace

JobQueue* shared_queue(caf::actor_system& system) {
  auto* coordinator = dynamic_cast<caf::scheduler::coordinator<HandOver>*>(&system.scheduler());
  return coordinator != nullptr ? &coordinator->data().queue : nullptr;
}

CafConfig::CafConfig(bool deterministic, std::size_t threads) {
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
