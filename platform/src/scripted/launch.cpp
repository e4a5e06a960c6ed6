#include <utility>

#include "context.hpp"
#include "troupe/platform/device_context.hpp"

// How runs come into a scripted context, and how they are asked to leave.
namespace troupe::platform {

std::shared_ptr<ScriptedRun> ScriptedContext::make_run(const troupe_run& request) const {
  auto run = std::make_shared<ScriptedRun>();
  run->request = request;
  run->correlation = request.correlation;
  run->tensors.assign(request.tensors, request.tensors + request.tensor_count);
  run->scalars.assign(request.scalars, request.scalars + request.scalar_count);
  run->scalar_kinds.resize(request.scalar_count);
  if (request.scalar_kinds != nullptr) {
    run->scalar_kinds.assign(request.scalar_kinds, request.scalar_kinds + request.scalar_count);
  }
  run->depends_on.assign(request.depends_on, request.depends_on + request.depends_count);
  run->request.tensors = run->tensors.data();
  run->request.scalars = run->scalars.data();
  run->request.scalar_kinds = run->scalar_kinds.data();
  run->request.depends_on = run->depends_on.data();
  if (request.name != nullptr) run->task = request.name;
  run->request.name = run->task.empty() ? nullptr : run->task.c_str();
  const auto found = callables_.find(request.callable);
  if (found != callables_.end()) run->callable = found->second;
  run->end.correlation = request.correlation;
  run->end.queued_ns = now();
  return run;
}

namespace {

Result<void> check_run(const troupe_run& run, std::size_t index) {
  const auto bad = [&](const char* what) {
    return Error{Errc::invalid_argument, "run " + std::to_string(index) + ": " + what};
  };
  if (run.tensor_count > runtime::limits::chip_tensors) return bad("more tensors than a run carries");
  if (run.scalar_count > runtime::limits::chip_scalars) return bad("more scalars than a run carries");
  if (run.tensor_count != 0 && run.tensors == nullptr) return bad("null tensors");
  if (run.scalar_count != 0 && run.scalars == nullptr) return bad("null scalars");
  if (run.depends_count != 0 && run.depends_on == nullptr) return bad("null depends_on");
  return {};
}

}  // namespace

Result<void> ScriptedContext::launch(const troupe_run* runs, std::size_t count, std::uint64_t settled) {
  if (runs == nullptr && count != 0) return Error{Errc::invalid_argument, "null runs"};
  Lock lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  if (host_.complete == nullptr) {
    return Error{Errc::invalid_state, "the host has no completion callback", "use run_runtime"};
  }
  if (count > script_->options.queue_depth || unfinished_ > script_->options.queue_depth - count) {
    return Error{Errc::queue_full, std::to_string(unfinished_) + " runs are unfinished, " +
                                       std::to_string(count) + " more do not fit the depth of " +
                                       std::to_string(script_->options.queue_depth)};
  }
  auto last = last_correlation_;
  for (std::size_t i = 0; i < count; ++i) {
    if (auto good = check_run(runs[i], i); !good) return good;
    if (runs[i].correlation <= last) {
      return Error{Errc::invalid_argument, "run " + std::to_string(i) + ": correlation " +
                                               std::to_string(runs[i].correlation) + " is not higher than " +
                                               std::to_string(last)};
    }
    last = runs[i].correlation;
  }
  failed_.erase(failed_.begin(), failed_.lower_bound(settled));
  for (std::size_t i = 0; i < count; ++i) {
    queue_.push_back(make_run(runs[i]));
    ++unfinished_;
  }
  last_correlation_ = last;
  if (count != 0) schedule(lock, 0);
  return {};
}

Result<void> ScriptedContext::run_blocking(const troupe_run& request, troupe_completion* completion) {
  if (auto good = check_run(request, 0); !good) return good;
  if (request.depends_count != 0) return Error{Errc::invalid_argument, "run_runtime takes no depends_on"};
  Lock lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  auto run = make_run(request);
  run->correlation = run->end.correlation = 0;
  run->blocking = true;
  queue_.push_back(run);
  ++unfinished_;
  while (!run->completed) {
    if (!stepping_) {
      stepping_ = true;
      stepping_thread_ = std::this_thread::get_id();
      const bool progress = advance(lock, true);
      stepping_ = false;
      changed_.notify_all();
      if (progress) continue;
    }
    if (!run->completed) changed_.wait(lock);
  }
  if (!undelivered_.empty() || can_go_on()) schedule(lock, 0);
  if (completion != nullptr) {
    *completion = run->end;
    completion->message = nullptr;
  }
  if (run->end.code == 0) return {};
  return device_error(run->end.code, run->message);
}

Result<void> ScriptedContext::abort(std::uint64_t correlation) {
  Lock lock{mutex_};
  if (auto ready = need_ready(); !ready) return ready;
  if (correlation != TROUPE_ALL_RUNS && (correlation == 0 || correlation > last_correlation_)) {
    return Error{Errc::invalid_argument, "run " + std::to_string(correlation) + " was never launched"};
  }
  const auto meant = [&](const auto& run) {
    return correlation == TROUPE_ALL_RUNS || run->correlation == correlation;
  };
  for (auto& run : queue_) {
    if (meant(run)) run->aborted = true;
  }
  for (auto& run : dropped_) {
    if (meant(run)) tell(run, TROUPE_DEVICE_ABORTED, "aborted");
  }
  std::erase_if(dropped_, meant);
  schedule(lock, 0);
  changed_.notify_all();
  return {};
}

}  // namespace troupe::platform
