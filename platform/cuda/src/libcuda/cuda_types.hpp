#pragma once

// The part of CUDA's driver interface that the driver uses, declared by ourselves so that nothing has to be
// installed to build it. A test compares all of it with cuda.h where that is installed.

#include <cstddef>
#include <cstdint>

namespace troupe::platform::cuda::cu {

using Result = int;
using Device = int;
using Context = struct ContextObject*;
using Module = struct ModuleObject*;
using Function = struct FunctionObject*;
using Stream = struct StreamObject*;
using Event = struct EventObject*;
using Graph = struct GraphObject*;
using GraphExec = struct GraphExecObject*;
using GraphNode = struct GraphNodeObject*;
using Pointer = unsigned long long;

enum Code : Result {
  success = 0,
  out_of_memory = 2,
  not_initialized = 3,
  deinitialized = 4,
  no_device = 100,
  not_found = 500,
  not_ready = 600,
  illegal_address = 700,
  launch_timeout = 702,
  context_is_destroyed = 709,
  assert = 710,
  hardware_stack_error = 714,
  illegal_instruction = 715,
  misaligned_address = 716,
  invalid_address_space = 717,
  invalid_pc = 718,
  launch_failed = 719
};

inline constexpr int attribute_max_threads_per_block = 1, attribute_multiprocessor_count = 16,
                     attribute_can_map_host_memory = 19, attribute_unified_addressing = 41;
inline constexpr unsigned event_disable_timing = 2, event_blocking_sync = 1, stream_non_blocking = 1,
                          memory_portable = 1, memory_device_map = 2;

/// A launch in a graph.
struct KernelNode {
  Function function = nullptr;
  unsigned grid_x = 1, grid_y = 1, grid_z = 1, block_x = 1, block_y = 1, block_z = 1, shared_bytes = 0;
  void** parameters = nullptr;
  void** extra = nullptr;
};

// The functions, once: X(name, parameters). All answer a Result.
#define TROUPE_CUDA_FUNCTIONS(X)                                                                             \
  X(cuInit, (unsigned))                                                                                      \
  X(cuDriverGetVersion, (int*))                                                                              \
  X(cuGetErrorName, (Result, const char**))                                                                  \
  X(cuGetErrorString, (Result, const char**))                                                                \
  X(cuDeviceGetCount, (int*))                                                                                \
  X(cuDeviceGet, (Device*, int))                                                                             \
  X(cuDeviceGetName, (char*, int, Device))                                                                   \
  X(cuDeviceTotalMem_v2, (std::size_t*, Device))                                                             \
  X(cuDeviceGetAttribute, (int*, int, Device))                                                               \
  X(cuDevicePrimaryCtxRetain, (Context*, Device))                                                            \
  X(cuDevicePrimaryCtxRelease_v2, (Device))                                                                  \
  X(cuCtxSetCurrent, (Context))                                                                              \
  X(cuMemAlloc_v2, (Pointer*, std::size_t))                                                                  \
  X(cuMemFree_v2, (Pointer))                                                                                 \
  X(cuMemHostAlloc, (void**, std::size_t, unsigned))                                                         \
  X(cuMemFreeHost, (void*))                                                                                  \
  X(cuMemHostGetDevicePointer_v2, (Pointer*, void*, unsigned))                                               \
  X(cuMemcpyHtoDAsync_v2, (Pointer, const void*, std::size_t, Stream))                                       \
  X(cuMemcpyDtoHAsync_v2, (void*, Pointer, std::size_t, Stream))                                             \
  X(cuMemcpyDtoDAsync_v2, (Pointer, Pointer, std::size_t, Stream))                                           \
  X(cuStreamCreate, (Stream*, unsigned))                                                                     \
  X(cuStreamDestroy_v2, (Stream))                                                                            \
  X(cuStreamWaitEvent, (Stream, Event, unsigned))                                                            \
  X(cuEventCreate, (Event*, unsigned))                                                                       \
  X(cuEventRecord, (Event, Stream))                                                                          \
  X(cuEventQuery, (Event))                                                                                   \
  X(cuEventSynchronize, (Event))                                                                             \
  X(cuEventDestroy_v2, (Event))                                                                              \
  X(cuModuleLoadData, (Module*, const void*))                                                                \
  X(cuModuleUnload, (Module))                                                                                \
  X(cuModuleGetFunction, (Function*, Module, const char*))                                                   \
  X(cuLaunchKernel, (Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream, \
                     void**, void**))

// Newer than some drivers: a library without cuFuncLoad loads a function when it is first launched, one that
// lacks a function of graphs has none.
#define TROUPE_CUDA_OPTIONAL_FUNCTIONS(X)                                                        \
  X(cuFuncLoad, (Function))                                                                      \
  X(cuGraphCreate, (Graph*, unsigned))                                                           \
  X(cuGraphAddKernelNode, (GraphNode*, Graph, const GraphNode*, std::size_t, const KernelNode*)) \
  X(cuGraphInstantiateWithFlags, (GraphExec*, Graph, unsigned long long))                        \
  X(cuGraphLaunch, (GraphExec, Stream))                                                          \
  X(cuGraphExecDestroy, (GraphExec))                                                             \
  X(cuGraphDestroy, (Graph))

/// Constant once filled; any thread.
struct Functions {
#define TROUPE_CUDA_POINTER(name, parameters) Result(*name) parameters = nullptr;
  TROUPE_CUDA_FUNCTIONS(TROUPE_CUDA_POINTER)
  TROUPE_CUDA_OPTIONAL_FUNCTIONS(TROUPE_CUDA_POINTER)
#undef TROUPE_CUDA_POINTER
  bool have_graphs() const noexcept {
    return cuGraphCreate != nullptr && cuGraphAddKernelNode != nullptr &&
           cuGraphInstantiateWithFlags != nullptr && cuGraphLaunch != nullptr &&
           cuGraphExecDestroy != nullptr && cuGraphDestroy != nullptr;
  }
};

}  // namespace troupe::platform::cuda::cu
