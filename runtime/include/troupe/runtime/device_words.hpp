#pragma once

// The words in which device compilers differ, for device_kernel.hpp: where things lie, who a lane is, and
// loads and stores that the host and other lanes see at once. Only for device compilers.

#include "troupe/runtime/device_block.h"

#if defined(__OPENCL_CPP_VERSION__)

#define TROUPE_ON_DEVICE
#define TROUPE_IN_MEMORY __global
#define TROUPE_TEXT __constant
#define TROUPE_SHARED_BY_LANES __local
#define TROUPE_DEVICE_ENTRY(name) __kernel void name(__global troupe_device_block* address)

#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable

namespace troupe::runtime::device {

inline int block_idx() { return static_cast<int>(get_group_id(0)); }
inline int block_num() { return static_cast<int>(get_num_groups(0)); }
inline int lane() { return static_cast<int>(get_local_id(0)); }
inline int lanes() { return static_cast<int>(get_local_size(0)); }
inline void sync() { barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE); }

// Also between devices and the host; mem_fence is not in the library of every implementation.
inline void fence() { __atomic_thread_fence(__ATOMIC_ACQ_REL); }

// The atomics of OpenCL 1.2, which every compiler of today takes: they and volatile accesses act on memory.
template <class T>
T load(__global const T* from) {
  const T value = *(__global const volatile T*)from;
  fence();
  return value;
}
/// Without an order among other accesses.
template <class T>
T peek(__global const T* from) {
  return *(__global const volatile T*)from;
}
template <class T>
void poke(__global T* to, T value) {
  *(__global volatile T*)to = value;
}
template <class T>
void store(__global T* to, T value) {
  fence();
  *(__global volatile T*)to = value;
}
inline void add(__global int* to, int value) {
  fence();
  atomic_add((__global volatile int*)to, value);
}
inline void add(__global unsigned long* to, unsigned long value) {
  fence();
  atom_add((__global volatile unsigned long*)to, value);
}
inline bool exchange_if(__global troupe_device_u32* word, troupe_device_u32 expected,
                        troupe_device_u32 value) {
  const bool done = atomic_cmpxchg((__global volatile troupe_device_u32*)word, expected, value) == expected;
  fence();
  return done;
}

}  // namespace troupe::runtime::device

#elif defined(__CUDACC__)

#define TROUPE_ON_DEVICE __device__
#define TROUPE_IN_MEMORY
#define TROUPE_TEXT
#define TROUPE_SHARED_BY_LANES __shared__
#define TROUPE_DEVICE_ENTRY(name) extern "C" __global__ void name(troupe_device_block* address)

namespace troupe::runtime::device {

__device__ inline int block_idx() { return static_cast<int>(blockIdx.x); }
__device__ inline int block_num() { return static_cast<int>(gridDim.x); }
__device__ inline int lane() { return static_cast<int>(threadIdx.x); }
__device__ inline int lanes() { return static_cast<int>(blockDim.x); }
__device__ inline void sync() { __syncthreads(); }

template <class T>
__device__ T load(const T* from) {
  const T value = *(const volatile T*)from;
  __threadfence_system();
  return value;
}
template <class T>
__device__ T peek(const T* from) {
  return *(const volatile T*)from;
}
template <class T>
__device__ void poke(T* to, T value) {
  *(volatile T*)to = value;
}
template <class T>
__device__ void store(T* to, T value) {
  __threadfence_system();
  *(volatile T*)to = value;
}
__device__ inline void add(int* to, int value) {
  __threadfence_system();
  atomicAdd_system(to, value);
}
__device__ inline void add(unsigned long* to, unsigned long value) {
  __threadfence_system();
  atomicAdd_system((unsigned long long*)to, (unsigned long long)value);
}
__device__ inline bool exchange_if(troupe_device_u32* word, troupe_device_u32 expected,
                                   troupe_device_u32 value) {
  const bool done = atomicCAS_system(word, expected, value) == expected;
  __threadfence_system();
  return done;
}

}  // namespace troupe::runtime::device

#endif
