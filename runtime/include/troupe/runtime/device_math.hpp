#pragma once

// Arithmetic for kernels of one source (device_kernel.hpp), under the same names on chips and on devices:
//
//   namespace math = troupe::runtime::math;      math::sqrt(x), math::max(a, b)
//   namespace atomic = troupe::runtime::atomic;  atomic::add(k.tensor<int>(0)[0], 1);
//
// What is in `math` takes float or double and answers the same. Last bits differ between targets, as they do
// between C libraries; double needs a device that has it. What is in `atomic` is one step for all lanes and
// blocks of the chip that do it at the same time, and answers what was there before; it puts no order between
// other accesses: KernelArgs::sync, wait_until and notify do.
// Why not <cmath> and <atomic>? Device compilers have neither.

#if defined(__OPENCL_CPP_VERSION__) || defined(__CUDACC__)
#include "troupe/runtime/device_words.hpp"
#define TROUPE_DETAIL_MATH(name, function, parameters, given) \
  template <class T>                                          \
  TROUPE_ON_DEVICE T name parameters {                        \
    return ::function given;                                  \
  }
#else
#include <atomic>
#include <cmath>
#include <concepts>
#define TROUPE_DETAIL_MATH(name, function, parameters, given) \
  template <std::floating_point T>                            \
  T name parameters {                                         \
    return std::function given;                               \
  }
#endif

namespace troupe::runtime::math {

TROUPE_DETAIL_MATH(abs, fabs, (T x), (x))
TROUPE_DETAIL_MATH(ceil, ceil, (T x), (x))
TROUPE_DETAIL_MATH(cos, cos, (T x), (x))
TROUPE_DETAIL_MATH(exp, exp, (T x), (x))
TROUPE_DETAIL_MATH(floor, floor, (T x), (x))
TROUPE_DETAIL_MATH(fma, fma, (T a, T b, T c), (a, b, c))
TROUPE_DETAIL_MATH(log, log, (T x), (x))
TROUPE_DETAIL_MATH(max, fmax, (T a, T b), (a, b))
TROUPE_DETAIL_MATH(min, fmin, (T a, T b), (a, b))
TROUPE_DETAIL_MATH(pow, pow, (T x, T exponent), (x, exponent))
TROUPE_DETAIL_MATH(sin, sin, (T x), (x))
TROUPE_DETAIL_MATH(sqrt, sqrt, (T x), (x))
TROUPE_DETAIL_MATH(tanh, tanh, (T x), (x))

}  // namespace troupe::runtime::math

#undef TROUPE_DETAIL_MATH

// add: int, unsigned, unsigned long, float; min and max: int, unsigned; exchange and exchange_if: int,
// unsigned, unsigned long. exchange_if stores `value` where `expected` is.
namespace troupe::runtime::atomic {

#if defined(__OPENCL_CPP_VERSION__)

// The functions of OpenCL 1.2, as everywhere in device_words.hpp; 64 bits have names of their own there.
#define TROUPE_DETAIL_ATOMIC(T, name, function) \
  inline T name(__global T& target, T value) { return function((__global volatile T*)&target, value); }
#define TROUPE_DETAIL_ATOMIC_IF(T, function)                         \
  inline T exchange_if(__global T& target, T expected, T value) {    \
    return function((__global volatile T*)&target, expected, value); \
  }
TROUPE_DETAIL_ATOMIC(int, add, atomic_add)
TROUPE_DETAIL_ATOMIC(unsigned, add, atomic_add)
TROUPE_DETAIL_ATOMIC(unsigned long, add, atom_add)
TROUPE_DETAIL_ATOMIC(int, min, atomic_min)
TROUPE_DETAIL_ATOMIC(unsigned, min, atomic_min)
TROUPE_DETAIL_ATOMIC(int, max, atomic_max)
TROUPE_DETAIL_ATOMIC(unsigned, max, atomic_max)
TROUPE_DETAIL_ATOMIC(int, exchange, atomic_xchg)
TROUPE_DETAIL_ATOMIC(unsigned, exchange, atomic_xchg)
TROUPE_DETAIL_ATOMIC(unsigned long, exchange, atom_xchg)
TROUPE_DETAIL_ATOMIC_IF(int, atomic_cmpxchg)
TROUPE_DETAIL_ATOMIC_IF(unsigned, atomic_cmpxchg)
TROUPE_DETAIL_ATOMIC_IF(unsigned long, atom_cmpxchg)
inline float add(__global float& target, float value) {
  auto* const word = (__global volatile int*)&target;
  for (int before = *word;;) {
    const int found = atomic_cmpxchg(word, before, as_int(as_float(before) + value));
    if (found == before) return as_float(before);
    before = found;
  }
}

#elif defined(__CUDACC__)

// `Word` is the type that the function has for it.
#define TROUPE_DETAIL_ATOMIC(T, Word, name, function)                          \
  __device__ inline T name(T& target, T value) {                               \
    return static_cast<T>(function((Word*)&target, static_cast<Word>(value))); \
  }
#define TROUPE_DETAIL_ATOMIC_IF(T, Word)                                                                     \
  __device__ inline T exchange_if(T& target, T expected, T value) {                                          \
    return static_cast<T>(atomicCAS((Word*)&target, static_cast<Word>(expected), static_cast<Word>(value))); \
  }
TROUPE_DETAIL_ATOMIC(int, int, add, atomicAdd)
TROUPE_DETAIL_ATOMIC(unsigned, unsigned, add, atomicAdd)
TROUPE_DETAIL_ATOMIC(unsigned long, unsigned long long, add, atomicAdd)
TROUPE_DETAIL_ATOMIC(float, float, add, atomicAdd)
TROUPE_DETAIL_ATOMIC(int, int, min, atomicMin)
TROUPE_DETAIL_ATOMIC(unsigned, unsigned, min, atomicMin)
TROUPE_DETAIL_ATOMIC(int, int, max, atomicMax)
TROUPE_DETAIL_ATOMIC(unsigned, unsigned, max, atomicMax)
TROUPE_DETAIL_ATOMIC(int, int, exchange, atomicExch)
TROUPE_DETAIL_ATOMIC(unsigned, unsigned, exchange, atomicExch)
TROUPE_DETAIL_ATOMIC(unsigned long, unsigned long long, exchange, atomicExch)
TROUPE_DETAIL_ATOMIC_IF(int, int)
TROUPE_DETAIL_ATOMIC_IF(unsigned, unsigned)
TROUPE_DETAIL_ATOMIC_IF(unsigned long, unsigned long long)

#else

#define TROUPE_DETAIL_ATOMIC(T, name, function)                                \
  inline T name(T& target, T value) {                                          \
    return std::atomic_ref(target).function(value, std::memory_order_relaxed); \
  }
#define TROUPE_DETAIL_ATOMIC_CHOICE(T, name, relation)                                                       \
  inline T name(T& target, T value) {                                                                        \
    std::atomic_ref word(target);                                                                            \
    T before = word.load(std::memory_order_relaxed);                                                         \
    while (value relation before && !word.compare_exchange_weak(before, value, std::memory_order_relaxed)) { \
    }                                                                                                        \
    return before;                                                                                           \
  }
#define TROUPE_DETAIL_ATOMIC_IF(T)                                                               \
  inline T exchange_if(T& target, T expected, T value) {                                         \
    std::atomic_ref(target).compare_exchange_strong(expected, value, std::memory_order_relaxed); \
    return expected;                                                                             \
  }
TROUPE_DETAIL_ATOMIC(int, add, fetch_add)
TROUPE_DETAIL_ATOMIC(unsigned, add, fetch_add)
TROUPE_DETAIL_ATOMIC(unsigned long, add, fetch_add)
TROUPE_DETAIL_ATOMIC(float, add, fetch_add)
TROUPE_DETAIL_ATOMIC_CHOICE(int, min, <)
TROUPE_DETAIL_ATOMIC_CHOICE(unsigned, min, <)
TROUPE_DETAIL_ATOMIC_CHOICE(int, max, >)
TROUPE_DETAIL_ATOMIC_CHOICE(unsigned, max, >)
TROUPE_DETAIL_ATOMIC(int, exchange, exchange)
TROUPE_DETAIL_ATOMIC(unsigned, exchange, exchange)
TROUPE_DETAIL_ATOMIC(unsigned long, exchange, exchange)
TROUPE_DETAIL_ATOMIC_IF(int)
TROUPE_DETAIL_ATOMIC_IF(unsigned)
TROUPE_DETAIL_ATOMIC_IF(unsigned long)
#undef TROUPE_DETAIL_ATOMIC_CHOICE

#endif

#undef TROUPE_DETAIL_ATOMIC
#undef TROUPE_DETAIL_ATOMIC_IF

}  // namespace troupe::runtime::atomic
