#pragma once

// The bytes that orchestration objects were compiled against: what their inline code writes and reads. Facts
// of another system, so none of these may change; every offset is checked here. Nothing is owned. What an
// object fills in is untrusted: numbers are taken as numbers, and looked at before they are used.

#include <cstddef>
#include <cstdint>

#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::sim::object_abi {

using Tensor = runtime::TensorDescriptor;

inline constexpr std::uint64_t no_task = ~std::uint64_t{0};
inline constexpr std::uint32_t most_tensors = 32, most_scalars = 16;              ///< of a task
inline constexpr std::uint32_t most_chip_tensors = 256, most_chip_scalars = 128;  ///< of a run

/// How a task uses a tensor.
enum class ArgumentTag : std::int32_t { input = 0, output = 1, inout = 2, output_existing = 3, no_dep = 4 };
/// How a callable that was packed uses one.
enum class Direction : std::int32_t { scalar = 0, in = 1, out = 2, inout = 3 };

enum class ScopeMode : std::uint8_t { automatic = 0, manual = 1 };

/// What an explicit dependency is for, as bits.
inline constexpr std::uint8_t wait_edge = 1, retain_edge = 2;

/// A tensor that is to be made: the first line of it, with an initial value where its buffer would be.
struct alignas(64) CreateInfo {
  std::uint64_t initial_value;  ///< tensormap runtime only
  std::uint8_t has_initial_value;
  std::uint8_t padding[7];
  std::uint64_t padding_too;
  std::uint64_t start_offset;
  std::int32_t version;
  std::uint32_t ndims;
  std::uint8_t dtype, manual_dep, is_contiguous, address_space;
  std::uint32_t shapes[runtime::limits::max_dims];
};
static_assert(sizeof(CreateInfo) == 64 && offsetof(CreateInfo, has_initial_value) == 8);
static_assert(offsetof(CreateInfo, start_offset) == 24 && offsetof(CreateInfo, version) == 32);
static_assert(offsetof(CreateInfo, ndims) == 36 && offsetof(CreateInfo, dtype) == 40);
static_assert(offsetof(CreateInfo, address_space) == 43 && offsetof(CreateInfo, shapes) == 44);

/// Kernel numbers by core; -1: not used.
struct MixedKernels {
  std::int32_t aic, aiv0, aiv1;
};
static_assert(sizeof(MixedKernels) == 12);

struct LaunchSpec {
  std::int16_t blocks;
  std::uint8_t sync_start;
  std::uint8_t padding;
};
static_assert(sizeof(LaunchSpec) == 4 && offsetof(LaunchSpec, sync_start) == 2);

struct Predicate {
  const Tensor* tensor;
  std::uint32_t ndims;
  std::uint32_t indices[runtime::limits::max_dims];
  std::uint8_t operation;  ///< 0 none, 1 ==, 2 !=, 3 >, 4 <, 5 >=, 6 <=
  std::uint8_t padding[7];
  std::int64_t target;
};
static_assert(sizeof(Predicate) == 48 && offsetof(Predicate, ndims) == 8);
static_assert(offsetof(Predicate, operation) == 32 && offsetof(Predicate, target) == 40);

/// Which arguments are to be dumped: a bit for each, tensors first.
struct DumpSelection {
  std::uint64_t arguments, ambiguous;
  std::uint64_t sources[16];
  std::uint8_t scalar_dtypes[16];
};
static_assert(sizeof(DumpSelection) == 160 && offsetof(DumpSelection, scalar_dtypes) == 144);

/// The container of a task's arguments, of the runtime that builds its graph while it runs.
template <std::size_t Tensors, std::size_t Scalars>
struct TensormapArguments {
  static constexpr std::size_t tensor_limit = Tensors, scalar_limit = Scalars;
  std::int32_t tags[Tensors];
  const void* tensors[Tensors];  ///< a CreateInfo where the tag is `output`, else a Tensor
  std::uint64_t scalars[Scalars];
  std::int32_t tensor_count, scalar_count;
  std::uint8_t has_error;
  const char* error_text;
  LaunchSpec launch;
  std::uint8_t allow_early_resolve;
  Predicate predicate;
  std::int32_t timing_slot;
  DumpSelection dump;
  const std::uint64_t* dependencies;
  const std::uint8_t* dependency_kinds;  ///< null: all wait and retain
  std::uint32_t dependency_count;
};
/// The same, of the runtime that builds it before launch.
template <std::size_t Tensors, std::size_t Scalars>
struct HostGraphArguments {
  static constexpr std::size_t tensor_limit = Tensors, scalar_limit = Scalars;
  std::int32_t tags[Tensors];
  const void* tensors[Tensors];
  std::uint64_t scalars[Scalars];
  std::int32_t tensor_count, scalar_count;
  std::uint8_t has_error;
  const char* error_text;
  LaunchSpec launch;
  std::uint8_t allow_early_resolve;
  Predicate predicate;
  std::int32_t timing_slot;
  const std::uint64_t* scalar_sources[Scalars];
  std::uint8_t scalar_sources_invalidated[Scalars];
  DumpSelection dump;
  const std::uint64_t* dependencies;
  std::uint32_t dependency_count;
};
using TensormapTask = TensormapArguments<most_tensors, most_scalars>;
using TensormapChip = TensormapArguments<most_chip_tensors, most_chip_scalars>;
using HostGraphTask = HostGraphArguments<most_tensors, most_scalars>;
using HostGraphGraph = HostGraphArguments<128, 64>;
using HostGraphChip = HostGraphArguments<most_chip_tensors, most_chip_scalars>;

// Where everything lies in a container, from the first scalar on.
template <class A>
inline constexpr bool common_offsets = offsetof(A, tags) == 0 &&
                                       offsetof(A, tensors) == 4 * A::tensor_limit&& offsetof(A, scalars) ==
                                           12 * A::tensor_limit&& offsetof(A, tensor_count) ==
                                           offsetof(A, scalars) +
                                               8 * A::scalar_limit&& offsetof(A, scalar_count) ==
                                           offsetof(A, tensor_count) + 4 &&
                                       offsetof(A, has_error) == offsetof(A, tensor_count) + 8 &&
                                       offsetof(A, error_text) == offsetof(A, tensor_count) + 16 &&
                                       offsetof(A, launch) == offsetof(A, tensor_count) + 24 &&
                                       offsetof(A, allow_early_resolve) == offsetof(A, tensor_count) + 28 &&
                                       offsetof(A, predicate) == offsetof(A, tensor_count) + 32 &&
                                       offsetof(A, timing_slot) == offsetof(A, tensor_count) + 80;
static_assert(common_offsets<TensormapTask> && common_offsets<TensormapChip>);
static_assert(common_offsets<HostGraphTask> && common_offsets<HostGraphGraph> &&
              common_offsets<HostGraphChip>);

static_assert(offsetof(TensormapTask, tensors) == 128 && offsetof(TensormapTask, scalars) == 384);
static_assert(offsetof(TensormapTask, tensor_count) == 512 && offsetof(TensormapTask, predicate) == 544);
static_assert(offsetof(TensormapTask, timing_slot) == 592 && offsetof(TensormapTask, dump) == 600);
static_assert(offsetof(TensormapTask, dependencies) == 760);
static_assert(offsetof(TensormapTask, dependency_kinds) == 768);
static_assert(offsetof(TensormapTask, dependency_count) == 776 && sizeof(TensormapTask) == 784);

static_assert(offsetof(TensormapChip, tensors) == 1024 && offsetof(TensormapChip, scalars) == 3072);
static_assert(offsetof(TensormapChip, tensor_count) == 4096 && offsetof(TensormapChip, predicate) == 4128);
static_assert(offsetof(TensormapChip, timing_slot) == 4176 && offsetof(TensormapChip, dump) == 4184);
static_assert(offsetof(TensormapChip, dependencies) == 4344);
static_assert(offsetof(TensormapChip, dependency_kinds) == 4352);
static_assert(offsetof(TensormapChip, dependency_count) == 4360 && sizeof(TensormapChip) == 4368);

static_assert(offsetof(HostGraphTask, tensor_count) == 512 && offsetof(HostGraphTask, timing_slot) == 592);
static_assert(offsetof(HostGraphTask, scalar_sources) == 600);
static_assert(offsetof(HostGraphTask, scalar_sources_invalidated) == 728);
static_assert(offsetof(HostGraphTask, dump) == 744 && offsetof(HostGraphTask, dependencies) == 904);
static_assert(offsetof(HostGraphTask, dependency_count) == 912 && sizeof(HostGraphTask) == 920);

static_assert(offsetof(HostGraphGraph, tensors) == 512 && offsetof(HostGraphGraph, scalars) == 1536);
static_assert(offsetof(HostGraphGraph, tensor_count) == 2048);
static_assert(offsetof(HostGraphGraph, timing_slot) == 2128);
static_assert(offsetof(HostGraphGraph, scalar_sources) == 2136);
static_assert(offsetof(HostGraphGraph, scalar_sources_invalidated) == 2648);
static_assert(offsetof(HostGraphGraph, dump) == 2712 && offsetof(HostGraphGraph, dependencies) == 2872);
static_assert(offsetof(HostGraphGraph, dependency_count) == 2880 && sizeof(HostGraphGraph) == 2888);

static_assert(offsetof(HostGraphChip, tensor_count) == 4096 && offsetof(HostGraphChip, timing_slot) == 4176);
static_assert(offsetof(HostGraphChip, scalar_sources) == 4184);
static_assert(offsetof(HostGraphChip, scalar_sources_invalidated) == 5208);
static_assert(offsetof(HostGraphChip, dump) == 5336 && offsetof(HostGraphChip, dependencies) == 5496);
static_assert(offsetof(HostGraphChip, dependency_count) == 5504 && sizeof(HostGraphChip) == 5512);

/// What a submit answers: the task, and the tensors that were made for it.
struct TaskOutputs {
  std::uint64_t task = no_task;
  std::uint32_t count = 0;
  const Tensor* tensors[most_tensors] = {};
};
static_assert(sizeof(TaskOutputs) == 272 && offsetof(TaskOutputs, count) == 8);
static_assert(offsetof(TaskOutputs, tensors) == 16);

/// What the begin of a graph answers: here always "run its body as if it were written there".
struct GraphScope {
  std::uint8_t execute_block = 1;
  std::uint8_t recording = 0;
  std::uint64_t task = no_task;
  void* recording_handle = nullptr;
};
static_assert(sizeof(GraphScope) == 24 && offsetof(GraphScope, recording) == 1);
static_assert(offsetof(GraphScope, task) == 8 && offsetof(GraphScope, recording_handle) == 16);

/// What the object asks its author for before a run.
struct OrchestrationConfig {
  std::int32_t expected_arguments;
};
static_assert(sizeof(OrchestrationConfig) == 4);

/// What the log of an object is bound to when it is loaded.
struct LogState {
  std::uint32_t version = 1;
  std::uint32_t size = 16;
  std::int32_t threshold = 25;
  std::int32_t clock_process = 0;
};
static_assert(sizeof(LogState) == 16 && offsetof(LogState, clock_process) == 12);

}  // namespace troupe::platform::sim::object_abi
