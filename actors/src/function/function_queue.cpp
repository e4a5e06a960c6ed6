#include "function/function_queue.hpp"

#include "data/data.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/crash_report.hpp"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {

std::optional<Error> call_function(const TaskRequest& request) {
  const auto& callable = *request.body->callable;
  const auto& args = arguments_of(*request.body, request.key.member);
  auto failed = [&](const std::string& text) {
    return Error(Errc::function_failed, "function \"" + callable.name + "\": " + text);
  };
  std::vector<runtime::TensorDescriptor> descriptors;
  descriptors.reserve(args.tensors.size());
  std::vector<const void*> pointers;
  std::vector<std::uint8_t> read_only;
  for (const auto& arg : args.tensors) {
    auto address = arg.tensor.buffer().offset;
    if (arg.buffer != nullptr) {
      const auto place = arg.buffer->host();
      if (!place)
        return failed("tensor argument " + std::to_string(pointers.size())).caused_by(place.error());
      address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(*place));
    } else if (arg.tensor.buffer().arena != 0) {
      return failed("tensor argument " + std::to_string(pointers.size()) +
                    " lives on a chip, not in host memory");
    }
    descriptors.push_back(runtime::describe(arg.tensor, address, runtime::AddressSpace::host, arg.tag));
    pointers.push_back(&descriptors.back());
    read_only.push_back(arg.tag == runtime::Tag::in ? 1 : 0);
  }
  char text[512] = {};
  troupe_host_call_v1 call{};
  call.size = sizeof call;
  call.tensors = static_cast<std::uint32_t>(pointers.size());
  call.scalars = static_cast<std::uint32_t>(args.scalars.size());
  call.descriptors = pointers.data();
  call.scalar_words = args.scalars.data();
  call.scalar_kinds = args.kinds();
  call.read_only = read_only.data();
  call.error_text = text;
  call.error_text_size = sizeof text;
  if (callable.kind != CallableKind::function) return failed("this callable is not a host function");
  if (callable.descriptor != nullptr) {
    const auto outcome = callable.descriptor->invoke.host_function(&call);
    if (outcome == TROUPE_DONE) return std::nullopt;
    return failed(text[0] != '\0' ? text : "failed");
  }
  try {
    runtime::HostArgs host(call);
    callable.function(host);
    return std::nullopt;
  } catch (const Error& error) {
    return failed(error.message()).caused_by(error);
  } catch (const std::exception& error) {
    return failed(runtime::text_of(error));
  } catch (...) {
    return failed("threw something that is not a std::exception");
  }
}

void FunctionQueue::push(std::vector<TaskRequest> requests) {
  {
    std::lock_guard guard(mutex_);
    for (auto& request : requests) queue_.push_back(std::move(request));
  }
  changed_.notify_one();
}

std::vector<TaskResult> FunctionQueue::cancel(const Cancel& cancel, std::uint64_t& inside) {
  std::vector<TaskResult> out;
  std::lock_guard guard(mutex_);
  inside = !current_.empty() && is_meant(current_key_, cancel) ? started_ : 0;
  if (inside != 0) current_given_up_ = true;
  std::erase_if(queue_, [&](const TaskRequest& request) {
    if (!is_meant(request.key, cancel)) return false;
    given_up_.push_back(request.key);
    out.push_back(not_begun(request, Outcome::cancelled));
    return true;
  });
  return out;
}

std::string FunctionQueue::still_inside(std::uint64_t inside) const {
  std::lock_guard guard(mutex_);
  return inside == started_ ? current_ : std::string();
}

void FunctionQueue::stop() {
  {
    std::lock_guard guard(mutex_);
    stopped_ = true;
    queue_.clear();
  }
  changed_.notify_all();
}

TaskResult FunctionQueue::run(TaskRequest& request) {
  TaskResult result{request.key, request.ticket, -1, Outcome::done, std::nullopt};
  if (failures_.lead_to(request)) {
    result.outcome = Outcome::skipped;
    result.untouched = true;
  } else {
    const auto start = recorder_ ? recorder_->now() : 0;
    troupe_running inside{};
    inside.what = "function";
    inside.name = request.body->callable->name.c_str();
    inside.task = request.body->name().data();
    inside.core = TROUPE_NO_CORE;
    inside.where = path_.c_str();
    auto* const outside = path_.empty() ? nullptr : platform::set_running(&inside);
    result.error = call_function(request);
    if (!path_.empty()) platform::set_running(outside);
    if (result.error) result.outcome = Outcome::failed;
    if (recorder_) {
      recorder_->ran(lane_, SpanKind::sub, *request.body, request.key, start, recorder_->now(),
                     result.error ? &*result.error : nullptr);
    }
  }
  return result;
}

std::vector<TaskResult> FunctionQueue::refuse(const std::vector<TaskRequest>& requests, const Error& reason) {
  std::vector<TaskResult> out;
  for (const auto& request : requests) {
    auto result = not_begun(request, Outcome::skipped);
    if (!failures_.lead_to(request)) {
      result.outcome = Outcome::failed;
      result.error = reason;
    }
    failures_.add(result.key);
    out.push_back(std::move(result));
  }
  return out;
}

/// The guard is held, and something is queued.
void FunctionQueue::take_next(std::unique_lock<std::mutex>& guard, TaskRequest& request) {
  request = std::move(queue_.front());
  queue_.pop_front();
  current_ = request.body->name();
  current_key_ = request.key;
  current_given_up_ = false;
  for (const auto& key : std::exchange(given_up_, {})) failures_.add(key);
  ++started_;
  guard.unlock();
}

void FunctionQueue::ended(TaskResult result) {
  bool first = false;
  {
    std::lock_guard guard(mutex_);
    current_.clear();
    // It came to its end all the same, too late: what it was given up for has been told.
    if (current_given_up_ && result.outcome == Outcome::done) result.outcome = Outcome::cancelled;
    if (result.outcome != Outcome::done) failures_.add(result.key);
    first = results_.empty();
    results_.push_back(std::move(result));
  }
  if (first) news_();
}

std::vector<TaskResult> FunctionQueue::take_results() {
  std::lock_guard guard(mutex_);
  return std::exchange(results_, {});
}

void FunctionQueue::work() {
  for (;;) {
    TaskRequest request;
    {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [this] { return stopped_ || !queue_.empty(); });
      if (stopped_) return;
      take_next(guard, request);
    }
    ended(run(request));
  }
}

void FunctionQueue::drain() {
  for (;;) {
    TaskRequest request;
    {
      std::unique_lock guard(mutex_);
      if (queue_.empty()) return;
      take_next(guard, request);
    }
    ended(run(request));
  }
}

std::string FunctionQueue::why(const Why& question) const {
  std::lock_guard guard(mutex_);
  if (!current_.empty() && is_meant(current_key_, question)) return "function " + current_ + " runs";
  std::size_t before = current_.empty() ? 0 : 1;
  for (const auto& request : queue_) {
    if (is_meant(request.key, question)) {
      return before == 0 ? "next in the queue"
                         : "queued behind " + std::to_string(before) + (before == 1 ? " other" : " others");
    }
    ++before;
  }
  return {};
}

std::string FunctionQueue::current() const {
  std::lock_guard guard(mutex_);
  return current_;
}

std::size_t FunctionQueue::queued() const {
  std::lock_guard guard(mutex_);
  return queue_.size();
}

}  // namespace troupe::actors
