// From the arguments of an orchestration object to tasks of the engine.

#include <algorithm>
#include <array>
#include <string>

#include "orchestration/object_run.hpp"
#include "orchestration/orchestration_object.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

using object_abi::ArgumentTag;
using object_abi::TaskOutputs;
using runtime::Tag;

namespace {

constexpr std::int32_t most_kernels = 1024;
constexpr std::int32_t most_launches = 32'767;  // of a graph that is built before launch

}  // namespace

void ObjectRun::Ready::clear() {
  task = {};
  tensor_count = output_count = 0;
  after.clear();
  kept.clear();
}

std::optional<ObjectArguments> ObjectRun::take(const void* arguments, const char* what) {
  if (is_fatal() || !check_scope()) return std::nullopt;
  std::string why;
  if (is_misplaced<object_abi::TensormapTask>(arguments)) {
    refuse(std::string(what) + " without arguments");
    return std::nullopt;
  }
  auto read = read_arguments(arguments, object_.is_host_graph(), why);
  if (!read) refuse("the arguments of " + std::string(what) + " cannot be used: " + why);
  return read;
}

bool ObjectRun::check_scope() {
  if (!scopes_.empty()) return true;
  refuse("a task outside of every scope");
  return false;
}

// A task keeps its place in the window of its ring until its scope has ended.
bool ObjectRun::check_window() {
  const bool host_graph = object_.is_host_graph();
  const std::size_t ring =
      host_graph ? 0 : std::min<std::size_t>(scopes_.size(), runtime::limits::arenas) - 1;
  const std::uint64_t window = engine_.task_window(ring);
  // Before the launch nothing leaves it; else one place stays free.
  if (ring_tasks_[ring] + (host_graph ? 0 : 1) < window) {
    ++ring_tasks_[ring];
    ++scopes_.back().tasks;
    return true;
  }
  const std::string who = "orchestration '" + object_.name() + "' has ";
  if (host_graph) {
    engine_.fail(Error(runtime::Errc::flow_control_deadlock,
                       who + "more tasks than the window of " + std::to_string(window),
                       "raise PTO2_RING_TASK_WINDOW"));
    return false;
  }
  // Some scope on this ring alone is too large, or all of them together are.
  const auto first = scopes_.begin() + static_cast<std::ptrdiff_t>(ring);
  const auto last = ring + 1 < runtime::limits::arenas ? first + 1 : scopes_.end();
  const bool alone = std::any_of(first, last, [&](const Scope& scope) { return scope.tasks + 1 >= window; });
  engine_.fail(Error(alone ? runtime::Errc::scope_deadlock : runtime::Errc::flow_control_deadlock,
                     who + std::to_string(ring_tasks_[ring]) +
                         (alone ? " tasks in one scope" : " tasks in scopes inside each other") +
                         ", as many as the window of " + std::to_string(window) + " takes",
                     "end scopes earlier, or raise PTO2_RING_TASK_WINDOW"));
  return false;
}

KernelEntry* ObjectRun::kernel(std::int32_t number) {
  const auto at = static_cast<std::size_t>(number);
  if (number < 0 || number >= most_kernels) return nullptr;
  if (at >= kernels_.size()) kernels_.resize(at + 1);
  // What it does not bring along is registered on the chip, under its number.
  if (kernels_[at] == nullptr) kernels_[at] = engine_.find_kernel(std::to_string(number));
  return kernels_[at];
}

bool ObjectRun::find_kernels(const object_abi::MixedKernels& kernels, Ready& task) {
  const std::int32_t numbers[3] = {kernels.aic, kernels.aiv0, kernels.aiv1};
  auto& lanes = task.task.lanes;
  for (std::size_t lane = 0; lane < 3; ++lane) {
    if (numbers[lane] == -1) continue;
    lanes[lane] = kernel(numbers[lane]);
    if (lanes[lane] != nullptr) continue;
    engine_.fail(Error(Errc::unknown_callable,
                       "orchestration '" + object_.name() + "' names kernel " +
                           std::to_string(numbers[lane]) + ", which does not exist",
                       "put it into the packed callable, or register it on this chip as \"" +
                           std::to_string(numbers[lane]) + "\""));
    return false;
  }
  if (lanes[0] == nullptr && lanes[1] == nullptr && lanes[2] == nullptr) {
    refuse("a task without a kernel", "submit it as a dummy task");
    return false;
  }
  if (lanes[0] == nullptr && lanes[1] == nullptr) std::swap(lanes[1], lanes[2]);
  return true;
}

TaskOutputs ObjectRun::hand_over(Ready& task) {
  TaskOutputs answer;
  if (!check_window()) return answer;
  task.task.after = task.after;
  task.task.kept = task.kept;
  const std::uint64_t number = engine_.submit(task.task);
  if (number == 0) return answer;
  learn(number, outputs_.size() - task.output_count);
  if (!check_producers(number, task) || !remember_writes(number, task)) return answer;
  answer.task = number;
  answer.count = static_cast<std::uint32_t>(task.output_count);
  std::copy_n(task.outputs.begin(), task.output_count, answer.tensors);
  return answer;
}

TaskOutputs ObjectRun::submit(const object_abi::MixedKernels& kernels, const void* given) {
  const auto arguments = take(given, "a task");
  if (!arguments) return {};
  Ready& task = ready_;
  task.clear();
  if (arguments->launch.blocks < 1)
    return refuse("a task of " + std::to_string(arguments->launch.blocks) + " blocks"), TaskOutputs();
  if (!find_kernels(kernels, task)) return {};
  const auto used = std::count_if(std::begin(task.task.lanes), std::end(task.task.lanes),
                                  [](const KernelEntry* lane) { return lane != nullptr; });
  if (object_.is_host_graph() && arguments->launch.blocks * used > most_launches)
    return refuse("a task of more than 32767 kernel calls"), TaskOutputs();
  task.task.blocks = static_cast<std::uint32_t>(arguments->launch.blocks);
  task.task.sync_start = arguments->launch.sync_start != 0;
  task.task.timing_slot = arguments->timing_slot;
  if (arguments->dump->arguments != 0) {
    task.task.dumped = arguments->dump->arguments;
    task.task.scalar_dtypes = arguments->dump->scalar_dtypes;
  }
  if (!add_dependencies(*arguments, task) || !describe_tensors(*arguments, task) ||
      !add_predicate(*arguments, task))
    return {};
  return hand_over(task);
}

TaskOutputs ObjectRun::submit_dummy(const void* given) {
  const auto arguments = take(given, "a dummy task");
  if (!arguments) return {};
  Ready& task = ready_;
  task.clear();
  if (!add_dependencies(*arguments, task) || !describe_tensors(*arguments, task)) return {};
  return hand_over(task);
}

TaskOutputs ObjectRun::alloc(const void* given) {
  const auto arguments = take(given, "an allocation");
  if (!arguments) return {};
  const auto is_output = [](std::int32_t tag) {
    return tag == static_cast<std::int32_t>(ArgumentTag::output);
  };
  if (arguments->tags.empty() || !arguments->scalars.empty() ||
      !std::all_of(arguments->tags.begin(), arguments->tags.end(), is_output))
    return refuse("an allocation takes descriptions of new tensors, at least one, and nothing else"),
           TaskOutputs();
  TaskOutputs answer;
  if (!check_window()) return answer;
  for (std::size_t i = 0; i < arguments->tensors.size(); ++i) {
    DescribedTensor wanted;
    if (!describe_output(i, arguments->tensors[i], wanted)) return {};
    Tensor& output = outputs_.back();
    const Tensor described = output;
    wanted.tensor = &described;
    if (!engine_.alloc(wanted, allocs_, output)) return {};
    answer.tensors[i] = &output;
  }
  answer.count = static_cast<std::uint32_t>(arguments->tensors.size());
  answer.task = allocs_++;
  return answer;
}

}  // namespace troupe::platform::sim
