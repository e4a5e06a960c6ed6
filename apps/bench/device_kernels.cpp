#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(nothing)(KernelArgs&) {}
TROUPE_MODULE("bench_device");
