#include "orchestration/object_run.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <exception>
#include <string>

#include "orchestration/current_run.hpp"
#include "orchestration/orchestration_object.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::platform::sim {

namespace {

constexpr std::size_t most_scopes = 64;
constexpr std::uint64_t first_graph = std::uint64_t{1} << 63;

}  // namespace

ObjectRun::ObjectRun(const OrchestrationObject& object, ChipEngine& engine, const Run& run,
                     std::span<const runtime::Tensor> tensors)
    : object_(object), engine_(engine), run_(run), tensors_(tensors) {
  if (object.is_host_graph()) {
    runtime_.ops = &object_abi::host_graph_ops;
  } else {
    runtime_.ops = &object_abi::tensormap_ops;
  }
  runtime_.run = this;
  for (const auto& known : object.kernels()) {
    const auto number = static_cast<std::size_t>(known.number);
    if (number >= kernels_.size()) kernels_.resize(number + 1);
    kernels_[number] = known.entry.get();
  }
}

Result<void> ObjectRun::execute() {
  const auto who = [&] { return "orchestration '" + object_.name() + "'"; };
  const auto directions = object_.directions();
  for (std::size_t i = 0; i < tensors_.size() && i < directions.size(); ++i) {
    const auto direction = static_cast<object_abi::Direction>(directions[i]);
    const bool is_written =
        direction == object_abi::Direction::out || direction == object_abi::Direction::inout;
    if (!is_written || runtime::writes(static_cast<runtime::Tag>(run_.tensors[i].tag))) continue;
    return Error(Errc::bad_task_arguments,
                 who() + " writes tensor argument " + std::to_string(i) + ", which the run passes as in",
                 "pass it as out or inout, so that it comes back");
  }
  const EntryArguments arguments(run_, tensors_, object_.is_host_graph());
  try {
    if (object_.config() != nullptr) {
      const auto expected = object_.config()(arguments.container()).expected_arguments;
      const auto given = static_cast<std::int64_t>(tensors_.size() + run_.scalars.size());
      if (expected > 0 && given < expected)
        return Error(Errc::bad_task_arguments, who() + " wants " + std::to_string(expected) +
                                                   " arguments, the run has " + std::to_string(given));
    }
    const CurrentRun current(*this);
    object_.bind()(&runtime_);
    scopes_.push_back({});
    object_.entry()(arguments.container());
  } catch (const abi::__forced_unwind&) {
    throw;  // the thread is being ended; not ours to stop
  } catch (const std::exception& thrown) {
    engine_.fail(Error(Errc::kernel_failed, who() + " failed: " + runtime::text_of(thrown)));
  } catch (...) {
    engine_.fail(Error(Errc::kernel_failed, who() + " threw something that is no std::exception"));
  }
  object_.bind()(nullptr);
  return {};
}

void ObjectRun::refuse(const std::string& what, const std::string& hint) {
  engine_.fail(Error(runtime::Errc::invalid_args, "orchestration '" + object_.name() + "': " + what, hint));
}

void ObjectRun::fail_inside() noexcept {
  engine_.fail(outcome_of_thrown("the simulator failed in orchestration", object_.name()));
}

void ObjectRun::report(std::int32_t code, const std::string& text) {
  // 0 would be no failure, and negative ones are how the other system hands codes on.
  const auto known = code > 0 ? static_cast<runtime::Errc>(code) : runtime::Errc::explicit_orch_fatal;
  engine_.fail(Error(ErrorCode{static_cast<std::int32_t>(known), error_name(known)},
                     "orchestration '" + object_.name() + "' reports: " + text));
}

void ObjectRun::log(std::int32_t level, const std::string& text) {
  engine_.log(level, (object_.name() + ": " + text).c_str());
}

// The object runs the body now, and does not tell when that ends: until the next graph begins, whatever is
// submitted belongs to this one. That can be too much to wait for, and never too little.
object_abi::GraphScope ObjectRun::begin_graph() {
  if (is_fatal()) return {};
  object_abi::GraphScope scope;
  scope.task = first_graph + graphs_.size();
  graphs_.push_back(submitted_.size());
  return scope;
}

void ObjectRun::begin_scope(std::uint8_t mode) {
  if (is_fatal()) return;
  const bool manual = mode == static_cast<std::uint8_t>(object_abi::ScopeMode::manual);
  if (!manual && mode != static_cast<std::uint8_t>(object_abi::ScopeMode::automatic))
    return refuse("a scope of mode " + std::to_string(mode) + ", which does not exist");
  if (scopes_.empty()) return refuse("a scope is begun after the last one has ended");
  if (!manual && scopes_.back().manual)
    return refuse("an automatic scope inside a manual one", "begin it before the manual one");
  if (scopes_.size() >= most_scopes) return refuse("more than 64 scopes inside each other");
  scopes_.push_back({.manual = manual, .tasks = 0, .outputs = outputs_.size(), .writers = writers_.mark()});
  if (!object_.is_host_graph()) engine_.begin_scope();
}

void ObjectRun::end_scope() {
  if (is_fatal()) return;
  if (scopes_.size() < 2) return refuse("a scope is ended that was not begun");
  outputs_.resize(scopes_.back().outputs);
  if (!object_.is_host_graph()) {
    const std::size_t ring = std::min<std::size_t>(scopes_.size(), runtime::limits::arenas) - 1;
    ring_tasks_[ring] -= scopes_.back().tasks;
    writers_.forget(scopes_.back().writers);
  }
  scopes_.pop_back();
  if (!object_.is_host_graph()) engine_.end_scope();
}

// What was brought to the chip for the run has a copy that the host can see: by the platform, or by a host
// that keeps copies there, which it leaves alone meanwhile.
bool ObjectRun::is_staged(const Tensor& tensor) const noexcept {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::uint64_t begin = tensors_[i].buffer().offset, bytes = tensors_[i].buffer_bytes();
    const auto& given = run_.tensors[i];
    const bool is_copy =
        given.address_space == TROUPE_SPACE_HOST || (given.flags & TROUPE_TENSOR_LEFT_ALONE) != 0;
    if (is_copy && tensor.address >= begin && tensor.address - begin < bytes) return true;
  }
  return false;
}

std::optional<std::uint64_t> ObjectRun::element_of(Tensor& tensor, std::uint32_t ndims,
                                                   const std::uint32_t* indices) {
  const auto bytes = complete(tensor);
  if (!bytes || ndims > tensor.ndims || (ndims != 0 && indices == nullptr)) {
    refuse("an element of what is no tensor, or has fewer dimensions, is asked for");
    return std::nullopt;
  }
  std::uint64_t element = 0;
  for (std::uint32_t dim = 0; dim < ndims; ++dim) {
    std::uint64_t step = 0;
    if (__builtin_mul_overflow(std::uint64_t{indices[dim]}, std::uint64_t{tensor.strides[dim]}, &step) ||
        __builtin_add_overflow(element, step, &element))
      element = tensor.size;
  }
  const std::uint64_t most = tensor.size / bytes->element_bytes;
  if (tensor.start_offset >= most || element >= most - tensor.start_offset) {
    refuse("an element outside of its tensor is asked for");
    return std::nullopt;
  }
  if (!object_.is_host_graph() || is_staged(tensor)) return element;
  refuse("an element of a tensor that the host has no view of is asked for",
         "only arguments that came from the host can be read before the graph is launched");
  return std::nullopt;
}

std::uint64_t ObjectRun::get(const Tensor& given, std::uint32_t ndims, const std::uint32_t* indices) {
  if (is_fatal()) return 0;
  if (given.address == 0) {
    log(TROUPE_LOG_ERROR, "an element of a tensor without memory is read");
    return 0;
  }
  Tensor tensor = given;
  const auto element = element_of(tensor, ndims, indices);
  if (!element) return 0;
  return engine_.get(tensor, *element, knows(tensor.owner_task) ? tensor.owner_task : 0);
}

void ObjectRun::set(const Tensor& given, std::uint32_t ndims, const std::uint32_t* indices,
                    std::uint64_t value) {
  if (is_fatal()) return;
  if (given.address == 0) return log(TROUPE_LOG_ERROR, "an element of a tensor without memory is written");
  Tensor tensor = given;
  const auto element = element_of(tensor, ndims, indices);
  if (element) engine_.set(tensor, *element, knows(tensor.owner_task) ? tensor.owner_task : 0, value);
}

// The engine's numbers are of a slot and its generation; a generation that has not come yet would name a task
// of the future.
bool ObjectRun::knows(std::uint64_t task) const noexcept {
  const auto id = to_task(task);
  if (id.generation == 0) return task < allocs_;
  return id.slot < generations_.size() && id.generation <= generations_[id.slot];
}

bool ObjectRun::is_graph(std::uint64_t task) const noexcept {
  return task >= first_graph && task - first_graph < graphs_.size();
}

void ObjectRun::add_tasks_of_graph(std::uint64_t graph, Ready& task) const {
  const std::size_t index = graph - first_graph;
  const std::size_t end = index + 1 < graphs_.size() ? graphs_[index + 1] : submitted_.size();
  for (std::size_t i = graphs_[index]; i < end; ++i) task.after.push_back(submitted_[i]);
}

void ObjectRun::learn(std::uint64_t task, std::size_t first_output) {
  if (object_.is_host_graph()) submitted_.push_back(task);
  const auto id = to_task(task);
  if (id.slot >= generations_.size()) {
    generations_.resize(std::max<std::size_t>(id.slot + std::size_t{1}, generations_.size() * 2));
    first_outputs_.resize(generations_.size());
  }
  generations_[id.slot] = id.generation;
  first_outputs_[id.slot] = first_output;
}

}  // namespace troupe::platform::sim
