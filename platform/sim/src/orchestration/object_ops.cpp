#include "orchestration/object_ops.hpp"

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <string>

#include "orchestration/current_run.hpp"
#include "orchestration/object_run.hpp"
#include "troupe/platform/device_abi.h"

namespace troupe::platform::sim {

namespace {
// A foreign ABI demands it: see CurrentRun.
thread_local ObjectRun* current = nullptr;
}  // namespace

CurrentRun::CurrentRun(ObjectRun& run) noexcept : before_(current) { current = &run; }
CurrentRun::~CurrentRun() { current = before_; }
ObjectRun* CurrentRun::get() noexcept { return current; }

namespace object_abi {
namespace {

// The border to the object: what goes wrong in here ends the run, and no exception crosses.
template <class Body>
auto guarded(Runtime* runtime, Body body) noexcept -> decltype(body(*runtime->run)) {
  using Answer = decltype(body(*runtime->run));
  if (runtime == nullptr || runtime->run == nullptr) return Answer();
  try {
    return body(*runtime->run);
  } catch (...) {
    runtime->run->fail_inside();
  }
  return Answer();
}

std::string text_of(const char* function, const char* format, std::va_list arguments) {
  constexpr std::size_t most = 1024;
  char text[most] = "";
  if (format != nullptr) std::vsnprintf(text, sizeof text, format, arguments);
  return function != nullptr && function[0] != '\0' ? std::string(function) + ": " + text : text;
}

TaskOutputs submit_task(Runtime* runtime, const MixedKernels& kernels, const void* arguments) {
  return guarded(runtime, [&](ObjectRun& run) { return run.submit(kernels, arguments); });
}
TaskOutputs submit_dummy_task(Runtime* runtime, const void* arguments) {
  return guarded(runtime, [&](ObjectRun& run) { return run.submit_dummy(arguments); });
}
TaskOutputs alloc_tensors(Runtime* runtime, const void* arguments) {
  return guarded(runtime, [&](ObjectRun& run) { return run.alloc(arguments); });
}
void scope_begin(Runtime* runtime) {
  guarded(runtime, [&](ObjectRun& run) {
    const std::uint8_t mode = runtime->pending_scope_mode;
    runtime->pending_scope_mode = static_cast<std::uint8_t>(ScopeMode::automatic);
    run.begin_scope(mode);
  });
}
void scope_end(Runtime* runtime) {
  guarded(runtime, [](ObjectRun& run) { run.end_scope(); });
}
void orchestration_done(Runtime* /*runtime*/) {}
bool is_fatal(Runtime* runtime) {
  return guarded(runtime, [](ObjectRun& run) { return run.is_fatal(); });
}
void report_fatal(Runtime* runtime, std::int32_t code, const char* function, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  guarded(runtime, [&](ObjectRun& run) { run.report(code, text_of(function, format, arguments)); });
  va_end(arguments);
}

void log_line(std::int32_t level, const char* function, const char* format, std::va_list arguments) noexcept {
  ObjectRun* run = CurrentRun::get();
  if (run == nullptr) return;
  try {
    run->log(level, text_of(function, format, arguments));
  } catch (...) {
    run->fail_inside();
  }
}
template <std::int32_t Level>
void log_at(const char* function, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  log_line(Level, function, format, arguments);
  va_end(arguments);
}

std::uint64_t get_tensor_data(Runtime* runtime, const Tensor& tensor, std::uint32_t ndims,
                              const std::uint32_t* indices) {
  return guarded(runtime, [&](ObjectRun& run) { return run.get(tensor, ndims, indices); });
}
void set_tensor_data(Runtime* runtime, const Tensor& tensor, std::uint32_t ndims,
                     const std::uint32_t* indices, std::uint64_t value) {
  guarded(runtime, [&](ObjectRun& run) { run.set(tensor, ndims, indices, value); });
}
std::int32_t available_cluster_count(Runtime* runtime) {
  return guarded(runtime, [](ObjectRun& run) { return run.clusters(); });
}
std::int32_t available_aiv_count(Runtime* runtime) {
  return guarded(runtime, [](ObjectRun& run) { return 2 * run.clusters(); });
}

// No graph is recorded: each body runs as if it were written where it is submitted, every time.
GraphScope graph_begin(Runtime* runtime, std::uint64_t /*key*/, const void* /*arguments*/) {
  return guarded(runtime, [](ObjectRun& run) { return run.begin_graph(); });
}
bool graph_prepare(Runtime* /*runtime*/, void* /*handle*/, const void* /*arguments*/) { return false; }
void graph_abort(Runtime* /*runtime*/, void* /*handle*/) {}
bool graph_end(Runtime* /*runtime*/) { return false; }
void graph_commit(Runtime* /*runtime*/) {}

constexpr CommonOps common_ops{.submit_task = &submit_task,
                               .scope_begin = &scope_begin,
                               .scope_end = &scope_end,
                               .orchestration_done = &orchestration_done,
                               .is_fatal = &is_fatal,
                               .report_fatal = &report_fatal,
                               .log_error = &log_at<TROUPE_LOG_ERROR>,
                               .log_warn = &log_at<TROUPE_LOG_WARNING>,
                               .log_timing = &log_at<TROUPE_LOG_INFO>,
                               .log_info = &log_at<TROUPE_LOG_INFO>,
                               .log_debug = &log_at<TROUPE_LOG_DEBUG>,
                               .get_tensor_data = &get_tensor_data,
                               .set_tensor_data = &set_tensor_data,
                               .alloc_tensors = &alloc_tensors,
                               .submit_dummy_task = &submit_dummy_task,
                               .available_cluster_count = &available_cluster_count,
                               .available_aiv_count = &available_aiv_count};

}  // namespace

const TensormapOps tensormap_ops{.common = common_ops, .scope_set_site = nullptr};
const HostGraphOps host_graph_ops{.common = common_ops,
                                  .graph_begin = &graph_begin,
                                  .graph_prepare = &graph_prepare,
                                  .graph_abort = &graph_abort,
                                  .graph_end = &graph_end,
                                  .graph_commit = &graph_commit,
                                  .scope_set_site = nullptr};

}  // namespace object_abi
}  // namespace troupe::platform::sim
