// Our declarations of OpenCL are those of its own headers, where they are installed.
#include <doctest/doctest.h>

#include "icd/cl_types.hpp"

#if __has_include(<CL/cl.h>)
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

#include <type_traits>

namespace {

namespace cl = troupe::platform::opencl::cl;

/// The same type, when pointers are alike whatever they point to.
template <class Ours, class Theirs>
constexpr bool are_alike() {
  if constexpr (std::is_integral_v<Ours> && std::is_integral_v<Theirs>) {
    return sizeof(Ours) == sizeof(Theirs) && std::is_signed_v<Ours> == std::is_signed_v<Theirs>;
  }
  return std::is_same_v<Ours, Theirs> || (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>);
}

template <class Ours, class Theirs>
struct Same;
template <class A, class... As, class B, class... Bs>
struct Same<A(As...), B(Bs...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(As) == sizeof...(Bs)) return are_alike<A, B>() && (are_alike<As, Bs>() && ...);
    return false;
  }();
};

#define TROUPE_OPENCL_CHECK(name, answer, parameters) \
  static_assert(Same<answer parameters, decltype(::name)>::value, #name " is declared differently");
namespace functions {
using namespace cl;
TROUPE_OPENCL_FUNCTIONS(TROUPE_OPENCL_CHECK)
}  // namespace functions

static_assert(cl::device_not_available == CL_DEVICE_NOT_AVAILABLE &&
              cl::out_of_resources == CL_OUT_OF_RESOURCES);
static_assert(cl::mem_object_allocation_failure == CL_MEM_OBJECT_ALLOCATION_FAILURE);
static_assert(cl::invalid_kernel_name == CL_INVALID_KERNEL_NAME && cl::invalid_binary == CL_INVALID_BINARY);
static_assert(cl::build_program_failure == CL_BUILD_PROGRAM_FAILURE && cl::complete == CL_COMPLETE);
static_assert(cl::platform_name == CL_PLATFORM_NAME && cl::platform_version == CL_PLATFORM_VERSION);
static_assert(cl::device_type == CL_DEVICE_TYPE && cl::device_type_cpu == CL_DEVICE_TYPE_CPU);
static_assert(cl::device_type_all == CL_DEVICE_TYPE_ALL && cl::device_available == CL_DEVICE_AVAILABLE);
static_assert(cl::device_max_compute_units == CL_DEVICE_MAX_COMPUTE_UNITS);
static_assert(cl::device_max_work_group_size == CL_DEVICE_MAX_WORK_GROUP_SIZE);
static_assert(cl::device_global_mem_size == CL_DEVICE_GLOBAL_MEM_SIZE && cl::device_name == CL_DEVICE_NAME);
static_assert(cl::device_compiler_available == CL_DEVICE_COMPILER_AVAILABLE);
static_assert(cl::driver_version == CL_DRIVER_VERSION && cl::device_version == CL_DEVICE_VERSION);
static_assert(cl::device_extensions == CL_DEVICE_EXTENSIONS && cl::device_il_version == CL_DEVICE_IL_VERSION);
static_assert(cl::device_svm_capabilities == CL_DEVICE_SVM_CAPABILITIES);
static_assert(cl::svm_fine_grain_buffer == CL_DEVICE_SVM_FINE_GRAIN_BUFFER &&
              cl::svm_atomics == CL_DEVICE_SVM_ATOMICS);
static_assert(cl::mem_read_write == CL_MEM_READ_WRITE && cl::mem_svm_atomics == CL_MEM_SVM_ATOMICS);
static_assert(cl::mem_svm_fine_grain_buffer == CL_MEM_SVM_FINE_GRAIN_BUFFER);
static_assert(cl::program_build_log == CL_PROGRAM_BUILD_LOG);
static_assert(cl::kernel_exec_info_svm_ptrs == CL_KERNEL_EXEC_INFO_SVM_PTRS);
static_assert(cl::event_command_execution_status == CL_EVENT_COMMAND_EXECUTION_STATUS);

}  // namespace

TEST_CASE("the declarations of OpenCL are those of its headers") {
  CHECK(sizeof(cl::Event) == sizeof(cl_event));
}

#else

TEST_CASE("the declarations of OpenCL are those of its headers" * doctest::skip()) {}

#endif
