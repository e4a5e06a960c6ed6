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

constexpr std::uint64_t output_alignment = 1024;
constexpr std::int32_t most_kernels = 1024;
constexpr std::int32_t most_launches = 32'767;  // of a graph that is built before launch
constexpr std::uint32_t host_graph_dependencies = 128;
constexpr std::uint32_t tensormap_dependencies = 64 + 16'384;

// Pointers that cannot be to what they should be.
template <class T>
bool is_misplaced(const void* given) noexcept {
  return given == nullptr || reinterpret_cast<std::uintptr_t>(given) % alignof(T) != 0;
}

Error too_many_dependencies(const std::string& who, std::uint32_t count) {
  return Error(runtime::Errc::dep_pool_overflow,
               who + ": a task has " + std::to_string(count) + " explicit dependencies",
               "gather them in dummy tasks");
}

}  // namespace

struct ObjectRun::Ready {
  DescribedTask task;
  DescribedPredicate predicate;
  std::array<DescribedTensor, object_abi::most_tensors> tensors;
  std::array<Tensor*, object_abi::most_tensors> outputs;
  std::size_t tensor_count = 0, output_count = 0;
  std::vector<std::uint64_t> after;
};

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

bool ObjectRun::describe_output(std::size_t index, const void* given, DescribedTensor& tensor) {
  if (is_misplaced<object_abi::CreateInfo>(given)) {
    refuse("output " + std::to_string(index) + " of a task has no description");
    return false;
  }
  const auto& wanted = *static_cast<const object_abi::CreateInfo*>(given);
  Tensor& output = outputs_.emplace_back();
  output.ndims = wanted.ndims;
  output.dtype = wanted.dtype;
  output.manual_dep = wanted.manual_dep;
  output.is_contiguous = 1;
  output.address_space = wanted.address_space;
  std::copy(std::begin(wanted.shapes), std::end(wanted.shapes), std::begin(output.shapes));
  const auto bytes = complete(output);
  if (!bytes || bytes->end > ~std::uint64_t{0} - output_alignment) {
    refuse("output " + std::to_string(index) + " of a task describes no tensor");
    return false;
  }
  output.size = (bytes->end + output_alignment - 1) / output_alignment * output_alignment;
  tensor.tensor = &output;
  tensor.tag = tensor.ordering = Tag::out;
  tensor.is_new = true;
  tensor.is_filled = !object_.is_host_graph() && wanted.has_initial_value != 0;
  tensor.initial = wanted.initial_value;
  return true;
}

bool ObjectRun::describe_tensor(std::size_t index, std::int32_t tag, const void* given, Ready& task) {
  DescribedTensor& tensor = task.tensors[index];
  if (tag == static_cast<std::int32_t>(ArgumentTag::output)) {
    if (!describe_output(index, given, tensor)) return false;
    task.outputs[task.output_count++] = &outputs_.back();
    return true;
  }
  if (tag < 0 || tag > static_cast<std::int32_t>(ArgumentTag::no_dep) || is_misplaced<Tensor>(given)) {
    refuse("tensor argument " + std::to_string(index) + " of a task has no tensor, or an unknown tag");
    return false;
  }
  const auto& described = *static_cast<const Tensor*>(given);
  tensor = {};
  tensor.tensor = &described;
  switch (static_cast<ArgumentTag>(tag)) {
    case ArgumentTag::inout:
      tensor.tag = Tag::inout;
      break;
    case ArgumentTag::output_existing:
      tensor.tag = Tag::out_existing;
      break;
    case ArgumentTag::no_dep:
      tensor.tag = Tag::no_dep;
      break;
    default:
      tensor.tag = Tag::in;
  }
  const bool manual = scopes_.back().manual;
  tensor.ordering = manual || described.manual_dep != 0 ? Tag::no_dep : tensor.tag;
  // Whoever made it comes first, whatever else is known of its bytes.
  if (!manual && described.owner_task != object_abi::no_task && knows(described.owner_task))
    task.after.push_back(described.owner_task);
  return true;
}

bool ObjectRun::describe_tensors(const ObjectArguments& arguments, Ready& task) {
  for (std::size_t i = 0; i < arguments.tensors.size(); ++i) {
    if (!describe_tensor(i, arguments.tags[i], arguments.tensors[i], task)) return false;
  }
  task.tensor_count = arguments.tensors.size();
  task.task.tensors = {task.tensors.data(), task.tensor_count};
  task.task.outputs = {task.outputs.data(), task.output_count};
  task.task.scalars = arguments.scalars;
  return true;
}

bool ObjectRun::add_dependencies(const ObjectArguments& arguments, Ready& task) {
  const std::uint32_t count = arguments.dependency_count;
  if (count == 0) return true;
  if (count > (object_.is_host_graph() ? host_graph_dependencies : tensormap_dependencies)) {
    engine_.fail(too_many_dependencies("orchestration '" + object_.name() + "'", count));
    return false;
  }
  if (is_misplaced<std::uint64_t>(arguments.dependencies)) {
    refuse("a task has " + std::to_string(count) + " explicit dependencies, and no list of them");
    return false;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t producer = arguments.dependencies[i];
    if (!knows(producer)) {
      refuse("explicit dependency " + std::to_string(i) + " of a task is no task of this run");
      return false;
    }
    const bool waits =
        arguments.dependency_kinds == nullptr || (arguments.dependency_kinds[i] & object_abi::wait_edge) != 0;
    if (waits) task.after.push_back(producer);
  }
  return true;
}

bool ObjectRun::add_predicate(const ObjectArguments& arguments, Ready& task) {
  const auto& wanted = *arguments.predicate;
  if (wanted.operation == 0 || wanted.tensor == nullptr) return true;
  constexpr std::uint32_t compares[] = {TROUPE_EQUAL, TROUPE_EQUAL,         TROUPE_NOT_EQUAL, TROUPE_GREATER,
                                        TROUPE_LESS,  TROUPE_GREATER_EQUAL, TROUPE_LESS_EQUAL};
  if (wanted.operation >= std::size(compares) || is_misplaced<Tensor>(wanted.tensor)) {
    refuse("a predicate that compares by number " + std::to_string(wanted.operation));
    return false;
  }
  if (wanted.tensor->address == 0) return true;
  Tensor flag = *wanted.tensor;
  if (!complete(flag) || wanted.ndims > flag.ndims) {
    refuse("the predicate of a task names no element of a tensor");
    return false;
  }
  std::uint64_t element = 0;
  for (std::uint32_t dim = 0; dim < wanted.ndims; ++dim)
    element += std::uint64_t{wanted.indices[dim]} * flag.strides[dim];
  task.predicate.tensor.tensor = wanted.tensor;
  const bool unordered = scopes_.back().manual || flag.manual_dep != 0;
  task.predicate.tensor.ordering = unordered ? Tag::no_dep : Tag::in;
  task.predicate.element = element;
  task.predicate.compare = compares[wanted.operation];
  task.predicate.value = wanted.target;
  task.task.predicate = &task.predicate;
  return true;
}

TaskOutputs ObjectRun::hand_over(Ready& task) {
  task.task.after = task.after;
  TaskOutputs answer;
  const std::uint64_t number = engine_.submit(task.task);
  if (number == 0) return answer;
  ++scopes_.back().tasks;
  learn(number);
  answer.task = number;
  answer.count = static_cast<std::uint32_t>(task.output_count);
  std::copy_n(task.outputs.begin(), task.output_count, answer.tensors);
  return answer;
}

TaskOutputs ObjectRun::submit(const object_abi::MixedKernels& kernels, const void* given) {
  const auto arguments = take(given, "a task");
  if (!arguments) return {};
  Ready task;
  if (arguments->launch.blocks < 1)
    return refuse("a task of " + std::to_string(arguments->launch.blocks) + " blocks"), TaskOutputs();
  if (!find_kernels(kernels, task)) return {};
  const auto used = std::count_if(std::begin(task.task.lanes), std::end(task.task.lanes),
                                  [](const KernelEntry* lane) { return lane != nullptr; });
  if (object_.is_host_graph() && arguments->launch.blocks * used > most_launches)
    return refuse("a task of more than 32767 kernel calls"), TaskOutputs();
  task.task.blocks = static_cast<std::uint32_t>(arguments->launch.blocks);
  task.task.sync_start = arguments->launch.sync_start != 0;
  if (arguments->dump->arguments != 0) task.task.dumped = arguments->dump->arguments;
  if (!add_dependencies(*arguments, task) || !describe_tensors(*arguments, task) ||
      !add_predicate(*arguments, task))
    return {};
  return hand_over(task);
}

TaskOutputs ObjectRun::submit_dummy(const void* given) {
  const auto arguments = take(given, "a dummy task");
  if (!arguments) return {};
  Ready task;
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
