#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "context.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/runtime/longest_wait.hpp"

// How runs of a scripted context begin, end and are told.
namespace troupe::platform {

std::uint64_t ScriptedContext::now() const {
  if (host_.now != nullptr) return host_.now(host_.data);
  return own_host_ ? own_host_->now() : 0;
}

/// Whether the front run could end, or begin, in the next step.
bool ScriptedContext::can_go_on() const {
  if (queue_.empty()) return false;
  const auto& run = *queue_.front();
  switch (run.phase) {
    case ScriptedRun::Phase::queued:
      return true;
    case ScriptedRun::Phase::delayed:
      return run.aborted || now() >= run.due_ns;
    case ScriptedRun::Phase::waiting:
      return run.aborted || window_abort_code() != 0;
    case ScriptedRun::Phase::hung:
      return run.released;
    case ScriptedRun::Phase::executing:
      break;
  }
  return false;
}

std::int32_t ScriptedContext::window_abort_code() const {
  for (const auto& [id, window] : windows_) {
    std::lock_guard lock{window.domain->mutex};
    if (window.domain->abort_code != 0) return window.domain->abort_code;
  }
  return 0;
}

bool ScriptedContext::advance(Lock& lock, bool skip_delays) {
  if (queue_.empty()) return false;
  const auto run = queue_.front();
  switch (run->phase) {
    case ScriptedRun::Phase::queued:
      return begin(lock, run);
    case ScriptedRun::Phase::executing:
      return false;
    case ScriptedRun::Phase::delayed:
      if (run->aborted) {
        finish(run, TROUPE_DEVICE_ABORTED, "'" + run->callable->name + "' was aborted");
      } else if (skip_delays || now() >= run->due_ns) {
        finish(run, 0, {});
      } else {
        return false;
      }
      return true;
    case ScriptedRun::Phase::waiting:
      if (run->aborted) {
        finish(run, TROUPE_DEVICE_ABORTED, "'" + run->callable->name + "' was aborted");
      } else if (const auto code = window_abort_code(); code != 0) {
        finish(run, code, "'" + run->callable->name + "' waited on a window that was given up");
      } else {
        return false;
      }
      return true;
    case ScriptedRun::Phase::hung:
      if (!run->released) return false;
      if (run->aborted) {
        finish(run, TROUPE_DEVICE_ABORTED, "'" + run->callable->name + "' was aborted");
      } else {
        finish(run, 0, {});
      }
      return true;
  }
  return false;
}

bool ScriptedContext::begin(Lock& lock, const std::shared_ptr<ScriptedRun>& run) {
  run->ordinal = ++ordinal_;
  for (const auto producer : run->depends_on) {
    if (const auto failure = failed_.find(producer); failure != failed_.end()) {
      finish(run, TROUPE_DEVICE_POISONED,
             "skipped: it depends on run " + std::to_string(producer) + ", which did not succeed",
             failure->second);
      return true;
    }
    if (producer == 0 || producer >= run->correlation) {
      finish(run, TROUPE_DEVICE_BAD_TASK_ARGUMENTS,
             "it depends on run " + std::to_string(producer) + ", which was not launched before it");
      return true;
    }
  }
  if (run->aborted) return finish(run, TROUPE_DEVICE_ABORTED, "aborted before it began"), true;
  if (!run->callable) {
    finish(run, TROUPE_DEVICE_UNKNOWN_CALLABLE,
           "no callable has the id " + std::to_string(run->request.callable));
    return true;
  }
  const auto capacity = std::uint64_t{script_->options.clusters} * 2;
  if ((run->request.flags & TROUPE_RUN_SYNC_START) != 0 && run->request.blocks > capacity) {
    finish(run, TROUPE_DEVICE_CAPACITY_EXCEEDED,
           std::to_string(run->request.blocks) + " blocks cannot start together on " +
               std::to_string(capacity) + " cores");
    return true;
  }

  using Kind = ScriptedFault::Kind;
  const auto fault = script_->fault_for_run(device_id_, run->callable->name);
  if (fault && fault->kind == Kind::lose_device) return lose(), true;
  if (fault && fault->kind == Kind::fail_run) return finish(run, fault->code, fault->text), true;

  auto staged = run->staging.prepare(
      run->tensors, [this](std::uint64_t at, std::uint64_t bytes) { return check_device(at, bytes); });
  if (!staged) {
    finish(run, staged.error().code().value, staged.error().message());
    return true;
  }

  run->end.started_ns = now();
  run->phase = ScriptedRun::Phase::executing;
  ScriptedCallAccess::State call;
  call.run = run.get();
  call.device = device_id_;
  call.now_ns = run->end.started_ns;
  lock.unlock();
  const auto outcome = execute(*run, call, host_);
  lock.lock();

  if (run->completed) {  // given up on while it was inside
    std::erase(stuck_, run);
    changed_.notify_all();
    return true;
  }
  if (!outcome) {
    finish(run, outcome.error().code().value, outcome.error().message());
    return true;
  }
  if (fault && fault->kind == Kind::delay)
    call.takes_ns += std::min(fault->delay_ns, UINT64_MAX - call.takes_ns);
  run->drop = fault && fault->kind == Kind::drop;
  if (call.hangs || (fault && fault->kind == Kind::hang)) {
    run->phase = ScriptedRun::Phase::hung;
  } else if (call.waits) {
    run->phase = ScriptedRun::Phase::waiting;
  } else if (call.takes_ns != 0) {
    run->phase = ScriptedRun::Phase::delayed;
    run->due_ns = run->end.started_ns + std::min(call.takes_ns, UINT64_MAX - run->end.started_ns);
    schedule(lock, call.takes_ns);
  } else if (run->aborted) {
    finish(run, TROUPE_DEVICE_ABORTED, "'" + run->callable->name + "' was aborted");
  } else {
    finish(run, 0, {});
  }
  return true;
}

void ScriptedContext::finish(const std::shared_ptr<ScriptedRun>& run, std::int32_t code, std::string message,
                             std::uint64_t caused_by) {
  queue_.pop_front();  // only the front run ever ends here
  if (code == 0) run->staging.copy_back(run->tensors);
  if (run->drop && code == 0) {
    dropped_.push_back(run);
    return;
  }
  tell(run, code, std::move(message), caused_by);
}

void ScriptedContext::tell(const std::shared_ptr<ScriptedRun>& run, std::int32_t code, std::string message,
                           std::uint64_t caused_by) {
  run->completed = true;
  run->message = std::move(message);
  run->end.code = code;
  run->end.caused_by = caused_by;
  run->end.finished_ns = now();
  --unfinished_;
  ++completed_;
  if (code != 0) {
    ++failures_;
    if (!run->blocking) failed_[run->correlation] = caused_by != 0 ? caused_by : run->correlation;
  }
  script_->record({device_id_, run->correlation, run->callable ? run->callable->name : "?",
                   run->end.started_ns, run->end.finished_ns, code});
  if (run->blocking) {
    changed_.notify_all();
  } else {
    undelivered_.push_back(run);
  }
}

void ScriptedContext::lose() {
  state_ = TROUPE_STATE_LOST;
  while (!queue_.empty()) {
    const auto run = queue_.front();
    queue_.pop_front();
    tell(run, TROUPE_DEVICE_LOST, "device " + std::to_string(device_id_) + " was lost");
  }
}

void ScriptedContext::deliver(Lock& lock) {
  if (delivering_) return;
  delivering_ = true;
  delivering_thread_ = std::this_thread::get_id();
  while (!undelivered_.empty()) {
    const auto batch = std::exchange(undelivered_, {});
    std::vector<troupe_completion> completions;
    completions.reserve(batch.size());
    for (const auto& run : batch) {
      run->end.message = run->end.code == 0 ? nullptr : run->message.c_str();
      completions.push_back(run->end);
    }
    lock.unlock();
    host_.complete(host_.data, completions.data(), completions.size());
    lock.lock();
  }
  delivering_ = false;
  delivering_thread_ = {};
  changed_.notify_all();
}

bool ScriptedContext::inside_callback() const {
  std::lock_guard lock{mutex_};
  return delivering_ && delivering_thread_ == std::this_thread::get_id();
}

void ScriptedContext::schedule(Lock& lock, std::uint64_t delay_ns) {
  if (script_->options.manual || destroyed_) return;
  if (delay_ns == 0 && std::exchange(posted_, true)) return;
  struct Posted {
    std::weak_ptr<ScriptedContext> context;
    bool delayed;
  };
  auto posted = std::make_unique<Posted>(Posted{weak_from_this(), delay_ns != 0});
  const auto turn = [](void* arg, std::int32_t cancelled) {
    const std::unique_ptr<Posted> mine{static_cast<Posted*>(arg)};
    const auto context = mine->context.lock();
    if (!context || cancelled != 0) return;
    if (!mine->delayed) {
      std::lock_guard again{context->mutex_};
      context->posted_ = false;
    }
    (void)context->step();
  };
  ++posting_;  // the end of the context waits for us: the host must not be called afterwards
  lock.unlock();
  const bool accepted = host_.post != nullptr ? host_.post(host_.data, delay_ns, turn, posted.get()) == 0
                                              : own_host_->post(delay_ns, turn, posted.get());
  if (accepted) (void)posted.release();
  lock.lock();
  if (--posting_ == 0) changed_.notify_all();
}

bool ScriptedContext::step() {
  Lock lock{mutex_};
  if (stepping_ || destroyed_) return false;
  stepping_ = true;
  stepping_thread_ = std::this_thread::get_id();
  std::uint32_t ended = 0;
  while (ended < script_->options.completions_per_step && advance(lock, false)) ++ended;
  const bool news = !undelivered_.empty();
  deliver(lock);
  stepping_ = false;
  stepping_thread_ = {};
  changed_.notify_all();
  if (can_go_on() || !undelivered_.empty()) schedule(lock, 0);
  return ended != 0 || news;
}

void ScriptedContext::release_hung() {
  Lock lock{mutex_};
  for (auto& run : queue_) {
    if (run->phase == ScriptedRun::Phase::hung) run->released = true;
  }
  std::erase_if(stuck_, [](const auto& run) { return run->phase == ScriptedRun::Phase::hung; });
  changed_.notify_all();
  schedule(lock, 0);
}

void ScriptedContext::window_was_aborted() {
  Lock lock{mutex_};
  changed_.notify_all();
  schedule(lock, 0);
}

Result<void> ScriptedContext::end_everything(Lock& lock, const char* what) {
  for (auto& run : queue_) run->aborted = true;
  changed_.notify_all();
  const auto settled = [&] { return !stepping_ && !delivering_; };
  // A kernel on another thread gets the grace; on this thread it can only be beneath us on the stack.
  if (!settled() && stepping_thread_ != std::this_thread::get_id()) {
    changed_.wait_for(lock, runtime::bounded(std::chrono::milliseconds{grace_ms_}), settled);
  }
  while (!queue_.empty()) {
    const auto run = queue_.front();
    queue_.pop_front();
    const bool inside = run->phase == ScriptedRun::Phase::executing ||
                        (run->phase == ScriptedRun::Phase::hung && !run->released);
    if (inside) stuck_.push_back(run);
    tell(run, TROUPE_DEVICE_ABORTED,
         run->callable ? "'" + run->callable->name + "' was aborted by " + what : std::string{"aborted"});
  }
  for (auto& run : dropped_) tell(run, TROUPE_DEVICE_ABORTED, std::string{"aborted by "} + what);
  dropped_.clear();
  changed_.wait(lock, [&] { return !delivering_; });
  deliver(lock);
  changed_.wait(lock, [&] { return posting_ == 0; });
  if (!stuck_.empty()) {
    state_ = TROUPE_STATE_QUARANTINED;
    return Error{Errc::busy, "kernel '" + stuck_.front()->callable->name + "' does not return"};
  }
  windows_.clear();
  memory_.clear();
  callables_.clear();
  failed_.clear();
  return {};
}

}  // namespace troupe::platform
