#pragma once

// The mark of a kernel that may wait without saying so to its chip. A macro; like those of module_macros.hpp
// it defines constant data. A kernel that waits by a loop of its own and is not marked can hold up its own
// program.

#include "troupe/runtime/kernel.hpp"

/// The variant (module_abi.h) of a kernel that may not return before another kernel, a peer chip or the host
/// has done something, however it waits for that.
#define TROUPE_KERNEL_WAITS 1

/// Such a kernel: `TROUPE_WAITING_KERNEL(relay)(KernelArgs& k) { … }`. It has a thread of its own wherever it
/// runs, from its first call on. For kernels that look at memory in a loop of their own, and for short ones
/// whose data decides whether they wait. A kernel that always comes to `k.wait_until` need not say so.
#define TROUPE_WAITING_KERNEL(callable)                                                            \
  static void troupe_kernel_##callable(::troupe::runtime::KernelArgs&);                            \
  TROUPE_DETAIL_DESCRIBE(callable, kernel, TROUPE_KERNEL_WAITS, kernel, troupe_kernel_##callable); \
  static void troupe_kernel_##callable
