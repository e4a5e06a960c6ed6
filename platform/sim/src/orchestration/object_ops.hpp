#pragma once

// The runtime as an orchestration object sees it: a table of functions behind one pointer.

#include <cstddef>
#include <cstdint>

#include "orchestration/object_abi.hpp"

namespace troupe::platform::sim {

class ObjectRun;

namespace object_abi {

/// The object's inline code reads and writes the first two fields; the rest is ours.
struct Runtime {
  const void* ops = nullptr;  ///< a TensormapOps or HostGraphOps
  std::uint8_t pending_scope_mode = 0;
  ObjectRun* run = nullptr;
};
static_assert(offsetof(Runtime, ops) == 0 && offsetof(Runtime, pending_scope_mode) == 8);

using LogFunction = void (*)(const char* function, const char* format, ...);

/// What both tables begin with.
struct CommonOps {
  TaskOutputs (*submit_task)(Runtime*, const MixedKernels&, const void* arguments);
  void (*scope_begin)(Runtime*);
  void (*scope_end)(Runtime*);
  void (*orchestration_done)(Runtime*);
  bool (*is_fatal)(Runtime*);
  void (*report_fatal)(Runtime*, std::int32_t code, const char* function, const char* format, ...);
  LogFunction log_error, log_warn, log_timing, log_info, log_debug;
  std::uint64_t (*get_tensor_data)(Runtime*, const Tensor&, std::uint32_t ndims,
                                   const std::uint32_t* indices);
  void (*set_tensor_data)(Runtime*, const Tensor&, std::uint32_t ndims, const std::uint32_t* indices,
                          std::uint64_t value);
  TaskOutputs (*alloc_tensors)(Runtime*, const void* arguments);
  TaskOutputs (*submit_dummy_task)(Runtime*, const void* arguments);
  std::int32_t (*available_cluster_count)(Runtime*);
  std::int32_t (*available_aiv_count)(Runtime*);
};
static_assert(offsetof(CommonOps, is_fatal) == 4 * 8 && offsetof(CommonOps, log_error) == 6 * 8);
static_assert(offsetof(CommonOps, get_tensor_data) == 11 * 8 && offsetof(CommonOps, alloc_tensors) == 13 * 8);
static_assert(offsetof(CommonOps, available_aiv_count) == 16 * 8 && sizeof(CommonOps) == 17 * 8);

using ScopeSite = void (*)(const char* file, int line);

struct TensormapOps {
  CommonOps common;
  ScopeSite scope_set_site;
};
static_assert(offsetof(TensormapOps, scope_set_site) == 17 * 8 && sizeof(TensormapOps) == 144);

struct HostGraphOps {
  CommonOps common;
  GraphScope (*graph_begin)(Runtime*, std::uint64_t key, const void* arguments);
  bool (*graph_prepare)(Runtime*, void* handle, const void* arguments);
  void (*graph_abort)(Runtime*, void* handle);
  bool (*graph_end)(Runtime*);
  void (*graph_commit)(Runtime*);
  ScopeSite scope_set_site;
};
static_assert(offsetof(HostGraphOps, graph_begin) == 17 * 8 &&
              offsetof(HostGraphOps, graph_commit) == 21 * 8);
static_assert(offsetof(HostGraphOps, scope_set_site) == 22 * 8 && sizeof(HostGraphOps) == 184);

extern const TensormapOps tensormap_ops;
extern const HostGraphOps host_graph_ops;

}  // namespace object_abi
}  // namespace troupe::platform::sim
