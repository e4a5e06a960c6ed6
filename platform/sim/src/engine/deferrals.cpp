#include "engine/deferrals.hpp"

#include <string>
#include <utility>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::sim {

bool Deferrals::start(TaskRecord& task) {
  std::erase_if(*task.deferred, [](const FlagCondition& condition) { return condition.holds(); });
  if (task.deferred->empty()) return false;
  const auto fail = [&](Errc code, const std::string& why, const std::string& hint = "") {
    const std::string what = "'" + task.entry->name + "' left something to be completed later, " + why;
    const auto number = static_cast<std::int32_t>(DeferredDefect::too_many);
    task.failure = std::make_unique<Error>(code == Errc::capacity_exceeded
                                               ? deferred_error(kernels_->run(), number, code, what, hint)
                                               : Error(code, what, hint));
    return false;
  };
  if (all_.size() - idle_.size() >= runtime::limits::deferred_tasks)
    return fail(Errc::capacity_exceeded, "as " + std::to_string(runtime::limits::deferred_tasks) +
                                             " tasks before it that wait for theirs");
  if (idle_.empty()) idle_.push_back(&all_.emplace_back(*this));
  Deferral* deferral = idle_.back();
  deferral->task_ = &task;
  ++whereabouts_.executing;
  if (threads_.start(*deferral)) {
    idle_.pop_back();
    return true;
  }
  --whereabouts_.executing;
  return fail(Errc::system, "and the host gives no thread to wait for it", comm::threads_hint());
}

void Deferrals::Deferral::run() noexcept {
  std::int64_t words[runtime::limits::kernel_words] = {};
  KernelCall call;
  call.code = task_->entry->code;
  call.words = words;
  call.tensors = task_->tensor_count;
  for (std::uint32_t i = 0; i < task_->tensor_count; ++i) {
    words[i] = reinterpret_cast<std::int64_t>(&task_->tensors[i]);
  }
  slot_.enter(call.code.name, 0, ticks());
  failure_ = await_deferred(*owner_.kernels_, slot_, call, *task_->deferred);
  slot_.leave();
  owner_.over_(*this);
}

TaskRecord& Deferrals::end(Deferral& deferral) {
  TaskRecord& task = *deferral.task_;
  --whereabouts_.executing;
  idle_.push_back(&deferral);
  if (auto failure = std::exchange(deferral.failure_, std::nullopt))
    task.failure = std::make_unique<Error>(*std::move(failure));
  task.deferred.reset();
  return task;
}

}  // namespace troupe::platform::sim
