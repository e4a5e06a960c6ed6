// Our declarations of CUDA's driver interface are those of cuda.h, where that is installed.
#include <doctest/doctest.h>

#include "libcuda/cuda_types.hpp"

#if __has_include(<cuda.h>)
#include <cuda.h>

#include <type_traits>

namespace {

namespace cu = troupe::platform::cuda::cu;

/// The same type, when pointers are alike whatever they point to, and enumerations are numbers.
template <class Ours, class Theirs>
constexpr bool are_alike() {
  if constexpr (std::is_enum_v<Theirs>) {
    return std::is_integral_v<Ours> && sizeof(Ours) == sizeof(Theirs);
  } else if constexpr (std::is_integral_v<Ours> && std::is_integral_v<Theirs>) {
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

constexpr bool same(auto ours, auto theirs) { return static_cast<long>(ours) == static_cast<long>(theirs); }

namespace functions {
using namespace cu;
#define TROUPE_CUDA_CHECK(name, parameters) \
  static_assert(Same<cu::Result parameters, decltype(::name)>::value, #name " is declared differently");
TROUPE_CUDA_FUNCTIONS(TROUPE_CUDA_CHECK)
#if CUDA_VERSION >= 12040
TROUPE_CUDA_OPTIONAL_FUNCTIONS(TROUPE_CUDA_CHECK)
#endif
}  // namespace functions

static_assert(same(cu::out_of_memory, CUDA_ERROR_OUT_OF_MEMORY) && same(cu::not_found, CUDA_ERROR_NOT_FOUND));
static_assert(same(cu::not_ready, CUDA_ERROR_NOT_READY) && same(cu::no_device, CUDA_ERROR_NO_DEVICE));
static_assert(same(cu::illegal_address, CUDA_ERROR_ILLEGAL_ADDRESS) &&
              same(cu::launch_failed, CUDA_ERROR_LAUNCH_FAILED));
static_assert(same(cu::launch_timeout, CUDA_ERROR_LAUNCH_TIMEOUT) && same(cu::assert, CUDA_ERROR_ASSERT));
static_assert(same(cu::context_is_destroyed, CUDA_ERROR_CONTEXT_IS_DESTROYED));
static_assert(same(cu::hardware_stack_error, CUDA_ERROR_HARDWARE_STACK_ERROR) &&
              same(cu::invalid_pc, CUDA_ERROR_INVALID_PC));
static_assert(same(cu::illegal_instruction, CUDA_ERROR_ILLEGAL_INSTRUCTION));
static_assert(same(cu::misaligned_address, CUDA_ERROR_MISALIGNED_ADDRESS));
static_assert(same(cu::invalid_address_space, CUDA_ERROR_INVALID_ADDRESS_SPACE));
static_assert(same(cu::attribute_max_threads_per_block, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK));
static_assert(same(cu::attribute_multiprocessor_count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
static_assert(same(cu::attribute_can_map_host_memory, CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY));
static_assert(same(cu::attribute_unified_addressing, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING));
static_assert(same(cu::event_disable_timing, CU_EVENT_DISABLE_TIMING) &&
              same(cu::event_blocking_sync, CU_EVENT_BLOCKING_SYNC));
static_assert(same(cu::stream_non_blocking, CU_STREAM_NON_BLOCKING));
static_assert(same(cu::memory_portable, CU_MEMHOSTALLOC_PORTABLE) &&
              same(cu::memory_device_map, CU_MEMHOSTALLOC_DEVICEMAP));

}  // namespace

TEST_CASE("the declarations of CUDA's driver interface are those of its header") {
  CHECK(sizeof(cu::Pointer) == sizeof(CUdeviceptr));
}

#else

TEST_CASE("the declarations of CUDA's driver interface are those of its header" * doctest::skip()) {}

#endif
