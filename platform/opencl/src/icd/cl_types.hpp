#pragma once

// The part of OpenCL that the driver uses, declared by ourselves so that nothing has to be installed to build
// it. A test compares all of it with the vendor's headers where those are installed.

#include <cstddef>
#include <cstdint>

namespace troupe::platform::opencl::cl {

using Int = std::int32_t;
using UInt = std::uint32_t;
using ULong = std::uint64_t;
using Bool = UInt;
using Bits = ULong;
using Property = std::intptr_t;

using Platform = struct PlatformObject*;
using Device = struct DeviceObject*;
using Context = struct ContextObject*;
using CommandQueue = struct CommandQueueObject*;
using Program = struct ProgramObject*;
using Kernel = struct KernelObject*;
using Event = struct EventObject*;

enum Code : Int {
  success = 0,
  device_not_found = -1,
  device_not_available = -2,
  mem_object_allocation_failure = -4,
  out_of_resources = -5,
  out_of_host_memory = -6,
  build_program_failure = -11,
  exec_status_error_for_events_in_wait_list = -14,
  invalid_value = -30,
  invalid_binary = -42,
  invalid_kernel_name = -46,
  platform_not_found_khr = -1001
};

inline constexpr UInt platform_name = 0x0902, platform_version = 0x0901;
inline constexpr Bits device_type_cpu = 1U << 1, device_type_all = 0xFFFFFFFF;
inline constexpr UInt device_type = 0x1000, device_max_compute_units = 0x1002,
                      device_max_work_group_size = 0x1004, device_global_mem_size = 0x101F,
                      device_available = 0x1027, device_compiler_available = 0x1028, device_name = 0x102B,
                      driver_version = 0x102D, device_version = 0x102F, device_extensions = 0x1030,
                      device_svm_capabilities = 0x1053, device_il_version = 0x105B;
inline constexpr Bits svm_fine_grain_buffer = 1U << 1, svm_atomics = 1U << 3;
inline constexpr Bits mem_read_write = 1U << 0, mem_svm_fine_grain_buffer = 1U << 10,
                      mem_svm_atomics = 1U << 11;
inline constexpr UInt program_build_log = 0x1183;
inline constexpr UInt kernel_exec_info_svm_ptrs = 0x11B6;
inline constexpr UInt event_command_execution_status = 0x11D3;
inline constexpr Int complete = 0;

using Notify = void (*)(const char*, const void*, std::size_t, void*);
using BuildNotify = void (*)(Program, void*);

// The functions, once: X(name, answer, parameters).
#define TROUPE_OPENCL_FUNCTIONS(X)                                                                 \
  X(clGetPlatformIDs, Int, (UInt, Platform*, UInt*))                                               \
  X(clGetPlatformInfo, Int, (Platform, UInt, std::size_t, void*, std::size_t*))                    \
  X(clGetDeviceIDs, Int, (Platform, Bits, UInt, Device*, UInt*))                                   \
  X(clGetDeviceInfo, Int, (Device, UInt, std::size_t, void*, std::size_t*))                        \
  X(clCreateContext, Context, (const Property*, UInt, const Device*, Notify, void*, Int*))         \
  X(clReleaseContext, Int, (Context))                                                              \
  X(clCreateCommandQueueWithProperties, CommandQueue, (Context, Device, const Bits*, Int*))        \
  X(clReleaseCommandQueue, Int, (CommandQueue))                                                    \
  X(clSVMAlloc, void*, (Context, Bits, std::size_t, UInt))                                         \
  X(clSVMFree, void, (Context, void*))                                                             \
  X(clEnqueueSVMMemcpy, Int,                                                                       \
    (CommandQueue, Bool, void*, const void*, std::size_t, UInt, const Event*, Event*))             \
  X(clCreateProgramWithSource, Program, (Context, UInt, const char**, const std::size_t*, Int*))   \
  X(clCreateProgramWithBinary, Program,                                                            \
    (Context, UInt, const Device*, const std::size_t*, const unsigned char**, Int*, Int*))         \
  X(clCreateProgramWithIL, Program, (Context, const void*, std::size_t, Int*))                     \
  X(clBuildProgram, Int, (Program, UInt, const Device*, const char*, BuildNotify, void*))          \
  X(clGetProgramBuildInfo, Int, (Program, Device, UInt, std::size_t, void*, std::size_t*))         \
  X(clReleaseProgram, Int, (Program))                                                              \
  X(clCreateKernel, Kernel, (Program, const char*, Int*))                                          \
  X(clReleaseKernel, Int, (Kernel))                                                                \
  X(clSetKernelArgSVMPointer, Int, (Kernel, UInt, const void*))                                    \
  X(clSetKernelExecInfo, Int, (Kernel, UInt, std::size_t, const void*))                            \
  X(clEnqueueNDRangeKernel, Int,                                                                   \
    (CommandQueue, Kernel, UInt, const std::size_t*, const std::size_t*, const std::size_t*, UInt, \
     const Event*, Event*))                                                                        \
  X(clFlush, Int, (CommandQueue))                                                                  \
  X(clGetEventInfo, Int, (Event, UInt, std::size_t, void*, std::size_t*))                          \
  X(clWaitForEvents, Int, (UInt, const Event*))                                                    \
  X(clReleaseEvent, Int, (Event))

}  // namespace troupe::platform::opencl::cl
