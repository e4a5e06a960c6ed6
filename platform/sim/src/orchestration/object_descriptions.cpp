// From what an orchestration object says of tensors and dependencies to what the engine takes.

#include <algorithm>
#include <string>

#include "orchestration/object_run.hpp"
#include "orchestration/orchestration_object.hpp"

namespace troupe::platform::sim {

using object_abi::ArgumentTag;
using runtime::Tag;

namespace {

constexpr std::uint64_t output_alignment = 1024;
constexpr std::uint32_t host_graph_dependencies = 128;
constexpr std::uint32_t near_dependencies = 64;  ///< that need no place in the pool
constexpr std::uint32_t usual_pool = 16'384;

}  // namespace

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
  const std::uint32_t pool = engine_.dependency_pool() != 0 ? engine_.dependency_pool() : usual_pool;
  if (count > (object_.is_host_graph() ? host_graph_dependencies : near_dependencies + pool)) {
    fail_for_dependencies(count);
    return false;
  }
  if (is_misplaced<std::uint64_t>(arguments.dependencies)) {
    refuse("a task has " + std::to_string(count) + " explicit dependencies, and no list of them");
    return false;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t producer = arguments.dependencies[i];
    if (is_graph(producer)) {
      add_tasks_of_graph(producer, task);
      continue;
    }
    if (!knows(producer)) {
      refuse("explicit dependency " + std::to_string(i) + " of a task is no task of this run");
      return false;
    }
    const bool waits =
        arguments.dependency_kinds == nullptr || (arguments.dependency_kinds[i] & object_abi::wait_edge) != 0;
    if (waits) task.after.push_back(producer);
    const bool keeps = arguments.dependency_kinds == nullptr ||
                       (arguments.dependency_kinds[i] & object_abi::retain_edge) != 0;
    if (keeps) keep_outputs(producer, task);
  }
  return true;
}

void ObjectRun::fail_for_dependencies(std::size_t count) {
  engine_.fail(
      Error(runtime::Errc::dep_pool_overflow,
            "orchestration '" + object_.name() + "': a task has " + std::to_string(count) + " dependencies",
            "gather them in dummy tasks, or raise PTO2_RING_DEP_POOL"));
}

// Those that were found count, too: whoever wrote what the task reads. The graph has more of them (whoever
// reads what it writes), so it says when they are worth counting; with a window of the usual size and a pool
// of the usual size none is exceeded.
bool ObjectRun::check_producers(std::uint64_t number, const Ready& task) {
  const bool host_graph = object_.is_host_graph();
  const std::size_t most =
      host_graph ? host_graph_dependencies : near_dependencies + engine_.dependency_pool();
  if (!host_graph && engine_.dependency_pool() == 0) return true;
  if (host_graph && (submitted_.size() <= most || engine_.waits_for(number) <= most)) return true;
  std::vector<std::uint64_t> producers = task.after;
  for (std::size_t i = 0; i < task.tensor_count; ++i) {
    const auto& tensor = task.tensors[i];
    if (!tensor.is_new && runtime::reads(tensor.ordering)) writers_.add_producers(*tensor.tensor, producers);
  }
  std::sort(producers.begin(), producers.end());
  producers.erase(std::unique(producers.begin(), producers.end()), producers.end());
  if (producers.size() <= most) return true;
  fail_for_dependencies(producers.size());
  return false;
}

bool ObjectRun::remember_writes(std::uint64_t number, const Ready& task) {
  for (std::size_t i = 0; i < task.tensor_count; ++i) {
    const auto& tensor = task.tensors[i];
    if (tensor.is_new || !runtime::writes(tensor.ordering)) continue;
    if (writers_.add(*tensor.tensor, tensor.ordering == Tag::inout, number)) continue;
    engine_.fail(Error(ErrorCode{11, "tensormap_overflow"},
                       "orchestration '" + object_.name() + "' has tasks that write more than " +
                           std::to_string(Writers::most) + " tensors",
                       "end scopes earlier"));
    return false;
  }
  return true;
}

// What a producer made stays until this task has ended, also where it knows it by address alone.
void ObjectRun::keep_outputs(std::uint64_t producer, Ready& task) const {
  const auto id = to_task(producer);
  if (id.generation == 0) return;
  for (std::size_t i = first_outputs_[id.slot]; i < outputs_.size(); ++i) {
    if (outputs_[i].owner_task != producer) return;
    if (outputs_[i].address != 0) task.kept.push_back(outputs_[i].address);
  }
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

}  // namespace troupe::platform::sim
