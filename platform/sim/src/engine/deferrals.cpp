#include "engine/deferrals.hpp"

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::sim {

namespace {

constexpr std::chrono::milliseconds usual_limit{10'000};

// Scripts set it around single runs.
std::chrono::milliseconds limit_of(const HostServices& host) {
  constexpr const char* name = "SIMPLER_SCHEDULER_TIMEOUT_MS";
  const char* said = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here changes the environment
  if (said == nullptr) return usual_limit;
  const std::string_view text(said);
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && number != 0)
    return std::chrono::milliseconds(number);
  host.log(TROUPE_LOG_WARNING, 0,
           std::string(name) + "=" + said + " is ignored: expected milliseconds, at least 1");
  return usual_limit;
}

}  // namespace

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
  if (gives_up_ && active() == 0) limit_ = limit_of(kernels_->host());
  if (active() >= runtime::limits::deferred_tasks)
    return fail(Errc::capacity_exceeded, "as " + std::to_string(runtime::limits::deferred_tasks) +
                                             " tasks before it that wait for theirs");
  if (idle_.empty()) idle_.push_back(&all_.emplace_back(*this));
  Deferral* deferral = idle_.back();
  deferral->task_ = &task;
  deferral->since_ = std::chrono::steady_clock::now();
  deferral->next_look_ = deferral->since_;
  if (gives_up_) {
    for (FlagCondition& condition : *task.deferred) condition.patience = deferral;
  }
  ++whereabouts_.executing;
  if (threads_.start(*deferral)) {
    idle_.pop_back();
    return true;
  }
  --whereabouts_.executing;
  return fail(Errc::system, "and the host gives no thread to wait for it", comm::threads_hint());
}

// Eight looks within the limit, so that it is not much more that is waited.
bool Deferrals::Deferral::is_over() noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return false;
  next_look_ = now + owner_.limit_ / 8;
  const auto progress = owner_.progress_();
  if (progress && *progress == seen_) return now - since_ >= owner_.limit_;
  seen_ = progress.value_or(0);
  since_ = now;
  return false;
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
