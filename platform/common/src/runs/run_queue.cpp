// Runs on their way in, and through the executor.
#include "runs/run_queue.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "runs/run_ticket.hpp"
#include "threads/threads.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

namespace {
constexpr std::size_t delivery_batch = 64;
// A run that takes longer than this does not hold back the completions before it.
constexpr std::uint64_t short_run_ns = 5'000;
constexpr int runner_spins = 500;

}  // namespace

RunQueue::RunQueue(HostServices& host, CoreThreads& threads, CallableTable& callables, RunExecutor& executor)
    : host_(host), threads_(threads), callables_(callables), executor_(executor), delivery_(host) {}

RunQueue::~RunQueue() = default;

std::unique_ptr<Run> RunQueue::fresh(const troupe_run& description, Of of) {
  std::unique_ptr<Run> run;
  if (spare_.empty()) {
    run = std::make_unique<Run>();
  } else {
    run = std::move(spare_.back());
    spare_.pop_back();
  }
  run->assign(description);
  if (of == Of::graphs) {
    run->callable = callables_.find_graph(run->callable_id);
  } else if (auto found = callables_.find(run->callable_id)) {
    run->callable = *found;
  }
  run->queued_ns = host_.now();
  return run;
}

Result<void> RunQueue::launch(std::span<const troupe_run> runs, std::uint64_t settled, Of of) {
  if (!host_.completes()) {
    return Error(Errc::invalid_state, "launch_runs needs a host with a completion callback",
                 "use run_runtime, or set `complete` in the host table");
  }
  std::unique_lock lock(mutex_);
  if (closing_) return aborted("the device is being reset");
  if (auto valid = check_launch(runs, last_correlation_); !valid) return valid;
  const std::size_t unfinished = queued_.size() + (executing_ != nullptr ? 1 : 0);
  if (unfinished + runs.size() > depth) {
    return Error(Errc::queue_full,
                 "this chip has " + std::to_string(unfinished) + " unfinished runs, at most " +
                     std::to_string(depth) + " fit",
                 "launch again after some have completed");
  }
  failed_.settled(settled);
  if (runs.empty()) return {};
  std::size_t queued = 0;
  try {
    for (; queued < runs.size(); ++queued) queued_.push_back(fresh(runs[queued], of));
  } catch (...) {
    take_back(queued);
    throw;
  }
  CoreThreads::Thread* thread = nullptr;
  if (!call_runner(thread)) return take_back(queued);
  last_correlation_ = runs.back().correlation;
  lock.unlock();
  if (thread != nullptr) CoreThreads::wake(*thread);
  return {};
}

Outcome RunQueue::run_and_wait(const troupe_run& description, troupe_completion* completion) {
  std::unique_lock lock(mutex_);
  if (closing_) return aborted("the device is being reset");
  troupe_run own = description;
  own.correlation = last_correlation_ + 1;
  own.depends_count = 0;
  if (auto valid = check_launch({&own, 1}, last_correlation_); !valid) return valid.error();
  own.correlation = 0;
  auto queued = fresh(own, Of::callables);
  queued->awaited = true;
  const Run* mine = queued.get();
  queued_.push_back(std::move(queued));
  CoreThreads::Thread* thread = nullptr;
  if (!call_runner(thread)) return take_back(1);
  if (thread != nullptr) CoreThreads::wake(*thread);
  auto is_mine = [mine](const auto& run) { return run.get() == mine; };
  ended_.wait(lock, [&] { return abandoned_ || std::any_of(awaited_.begin(), awaited_.end(), is_mine); });
  auto place = std::find_if(awaited_.begin(), awaited_.end(), is_mine);
  if (place == awaited_.end()) return aborted("aborted; its kernel did not return");
  std::unique_ptr<Run> run = std::move(*place);
  awaited_.erase(place);
  if (completion != nullptr) {
    *completion = completion_of(*run);
    completion->message = nullptr;
  }
  Outcome outcome = std::move(run->outcome);
  run->callable.reset();
  spare_.push_back(std::move(run));
  ended_.notify_all();
  return outcome;
}

Result<void> RunQueue::abort(std::uint64_t correlation) {
  const std::lock_guard lock(mutex_);
  if (correlation != TROUPE_ALL_RUNS && (correlation == 0 || correlation > last_correlation_)) {
    return Error(Errc::invalid_argument, "run " + std::to_string(correlation) + " was never launched");
  }
  auto meant = [correlation](const Run& run) {
    return correlation == TROUPE_ALL_RUNS || run.correlation == correlation;
  };
  for (auto& run : queued_) {
    if (meant(*run)) run->aborted.store(true, std::memory_order_relaxed);
  }
  if (executing_ != nullptr && meant(*executing_)) {
    executing_->aborted.store(true);
    executor_.interrupt(*executing_);
  }
  return {};
}

/// False: nobody is there to serve the queue, which held nothing before. A `thread` begins when it is woken,
/// best without the mutex, which it takes at once.
bool RunQueue::call_runner(CoreThreads::Thread*& thread) {
  arrivals_.fetch_add(1, std::memory_order_release);
  if (serving_) return true;
  serving_ = true;
  thread = threads_.take(*this);
  if (thread != nullptr) return true;
  // A host without threads: work in a task of its own.
  if (host_.is_threadless() && host_.posts()) {
    ticket_ = std::make_shared<Ticket>();
    ticket_->queue = this;
    auto held = std::make_unique<std::shared_ptr<Ticket>>(ticket_);
    if (host_.post(&RunQueue::run_posted, held.get())) {
      static_cast<void>(held.release());
      return true;
    }
    ticket_.reset();
  }
  serving_ = false;
  ended_.notify_all();
  return false;
}

/// The latest ones in the queue never were there. Answers why, if it is for want of a thread.
Error RunQueue::take_back(std::size_t count) {
  queued_.resize(queued_.size() - count);
  return {Errc::system, "no thread for this chip's runs", comm::threads_hint()};
}

void RunQueue::run_posted(void* argument, std::int32_t cancelled) {
  const std::unique_ptr<std::shared_ptr<Ticket>> held(static_cast<std::shared_ptr<Ticket>*>(argument));
  Ticket& ticket = **held;
  RunQueue* queue = ticket.enter();
  if (queue == nullptr) return;
  if (cancelled != 0) static_cast<void>(queue->abort(TROUPE_ALL_RUNS));
  queue->serve();
  ticket.leave();
}

void RunQueue::run() noexcept { serve(); }

bool RunQueue::wait_for_more() const {
  static const bool spins = std::thread::hardware_concurrency() > 1;  // asks the system
  if (!spins) return false;
  const auto seen = arrivals_.load(std::memory_order_acquire);
  for (int spin = 0; spin < runner_spins; ++spin) {
    if (arrivals_.load(std::memory_order_acquire) != seen) return true;
    spin_pause();
  }
  return false;
}

void RunQueue::serve() noexcept {
  for (;;) {
    auto run = next();
    if (run == nullptr) {
      flush();
      if (wait_for_more()) continue;
      const std::lock_guard lock(mutex_);
      if (!queued_.empty()) continue;
      serving_ = false;
      ended_.notify_all();
      return;
    }
    if (run->callable == nullptr || run->callable->may_wait() || usual_ns_ > short_run_ns) flush();
    execute(*run);
    finish(std::move(run));
  }
}

std::unique_ptr<Run> RunQueue::next() {
  const std::lock_guard lock(mutex_);
  if (queued_.empty()) return nullptr;
  auto run = std::move(queued_.front());
  queued_.pop_front();
  executing_ = run.get();
  for (const std::uint64_t producer : run->depends_on) {
    if (auto skipped = failed_.skips(producer)) {
      run->outcome = *std::move(skipped);
      break;
    }
    if (producer == 0 || producer >= run->correlation) {
      run->outcome = Error(Errc::bad_task_arguments, "it depends on run " + std::to_string(producer) +
                                                         ", which was not launched before it");
      break;
    }
  }
  if (run->outcome.ok() && run->callable != nullptr && !run->aborted.load()) run->started_ns = host_.now();
  return run;
}

void RunQueue::execute(Run& run) {
  if (!run.outcome.ok()) return;
  if (run.aborted.load()) {
    run.outcome = aborted("aborted before it started");
  } else if (run.callable == nullptr) {
    run.outcome = Error(Errc::unknown_callable, "no callable with id " + std::to_string(run.callable_id),
                        "register it on this chip before launching it");
  } else {
    run.outcome = executor_.execute(run);
    run.finished_ns = host_.now();
    usual_ns_ = (usual_ns_ == ~std::uint64_t{0} ? 0 : usual_ns_ / 2) + (run.finished_ns - run.started_ns) / 2;
    return;
  }
  run.finished_ns = host_.now();
}

void RunQueue::finish(std::unique_ptr<Run> run) {
  std::size_t gathered = 0;
  {
    const std::lock_guard lock(mutex_);
    if (executing_ == run.get()) executing_ = nullptr;
    if (run->ended) {  // given up on, and reported as aborted long ago
      return;
    }
    run->ended = true;
    ++completed_;
    failures_ += run->outcome.ok() ? 0 : 1;
    failed_.ended(*run);
    if (run->awaited) {
      awaited_.push_back(std::move(run));
      ended_.notify_all();
    } else {
      finished_.push_back(std::move(run));
    }
    gathered = finished_.size();
  }
  if (gathered >= delivery_batch) flush();
}

}  // namespace troupe::platform::common
