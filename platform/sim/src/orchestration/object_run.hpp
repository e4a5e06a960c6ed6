#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "orchestration/object_abi.hpp"
#include "orchestration/object_arguments.hpp"
#include "orchestration/object_ops.hpp"
#include "orchestration/writers.hpp"

namespace troupe::platform::sim {

class OrchestrationObject;

/// One run of an orchestration object: the runtime that it sees, from the call of its entry to the return.
/// What it asks for becomes calls of the engine. The thread of the run alone; its logging functions, which
/// get no runtime, find the run through the thread that they are called on.
///
/// Tasks have the engine's numbers; what an object passes back as one is looked up before it is believed.
/// `alloc_tensors` makes tasks too, as far as an object can tell: they have small numbers, and have ended. So
/// do graphs: they have numbers that no other has, and end when all that was submitted for them has.
class ObjectRun {
 public:
  ObjectRun(const OrchestrationObject& object, ChipEngine& engine, const Run& run,
            std::span<const runtime::Tensor> tensors);

  Result<void> execute();

  // What the table of functions comes to (object_submits.cpp, object_run.cpp).
  object_abi::TaskOutputs submit(const object_abi::MixedKernels& kernels, const void* arguments);
  object_abi::TaskOutputs submit_dummy(const void* arguments);
  object_abi::TaskOutputs alloc(const void* arguments);
  object_abi::GraphScope begin_graph();
  void begin_scope(std::uint8_t mode);
  void end_scope();
  std::uint64_t get(const object_abi::Tensor& tensor, std::uint32_t ndims, const std::uint32_t* indices);
  void set(const object_abi::Tensor& tensor, std::uint32_t ndims, const std::uint32_t* indices,
           std::uint64_t value);
  void report(std::int32_t code, const std::string& text);
  void log(std::int32_t level, const std::string& text);
  bool is_fatal() const noexcept { return engine_.fatal() != 0; }
  std::int32_t clusters() const noexcept { return static_cast<std::int32_t>(engine_.clusters()); }
  /// With what is thrown now.
  void fail_inside() noexcept;

 private:
  using Tensor = object_abi::Tensor;
  struct Scope {
    bool manual = false;
    std::uint32_t tasks = 0;
    std::size_t outputs = 0;  ///< how many there were before it
    std::size_t writers = 0;  ///< the mark of before it
  };
  /// A task as the engine takes it. Made anew for each, in the same place.
  struct Ready {
    DescribedTask task;
    DescribedPredicate predicate;
    std::array<DescribedTensor, object_abi::most_tensors> tensors;
    std::array<Tensor*, object_abi::most_tensors> outputs;
    std::size_t tensor_count = 0, output_count = 0;
    std::vector<std::uint64_t> after, kept;

    void clear();
  };

  void refuse(const std::string& what, const std::string& hint = "");
  bool check_scope();
  bool check_window();
  void keep_outputs(std::uint64_t producer, Ready& task) const;
  std::optional<ObjectArguments> take(const void* arguments, const char* what);
  bool find_kernels(const object_abi::MixedKernels& kernels, Ready& task);
  KernelEntry* kernel(std::int32_t number);
  bool describe_tensors(const ObjectArguments& arguments, Ready& task);
  bool describe_tensor(std::size_t index, std::int32_t tag, const void* given, Ready& task);
  bool describe_output(std::size_t index, const void* given, DescribedTensor& tensor);
  bool add_dependencies(const ObjectArguments& arguments, Ready& task);
  bool add_predicate(const ObjectArguments& arguments, Ready& task);
  void fail_for_dependencies(std::size_t count);
  bool check_producers(std::uint64_t number, const Ready& task);
  bool remember_writes(std::uint64_t number, const Ready& task);
  object_abi::TaskOutputs hand_over(Ready& task);
  bool knows(std::uint64_t task) const noexcept;
  bool is_graph(std::uint64_t task) const noexcept;
  void add_tasks_of_graph(std::uint64_t graph, Ready& task) const;
  void learn(std::uint64_t task, std::size_t first_output);
  bool is_staged(const Tensor& tensor) const noexcept;
  std::optional<std::uint64_t> element_of(Tensor& tensor, std::uint32_t ndims, const std::uint32_t* indices);

  const OrchestrationObject& object_;
  ChipEngine& engine_;
  const Run& run_;
  const std::span<const runtime::Tensor> tensors_;
  object_abi::Runtime runtime_;
  std::vector<KernelEntry*> kernels_;  ///< by number
  std::vector<Scope> scopes_;
  std::deque<Tensor> outputs_;              ///< of tasks, until their scope ends
  std::vector<std::uint32_t> generations_;  ///< the latest of each slot of the graph that a task had
  std::vector<std::size_t> first_outputs_;  ///< of that task, in outputs_
  std::array<std::uint32_t, runtime::limits::arenas> ring_tasks_{};
  Writers writers_;
  std::uint64_t allocs_ = 0;
  std::vector<std::uint64_t> submitted_;  ///< all tasks, of an object whose graph is built before launch
  std::vector<std::size_t> graphs_;       ///< where in submitted_ each graph begins
  Ready ready_;
};

}  // namespace troupe::platform::sim
