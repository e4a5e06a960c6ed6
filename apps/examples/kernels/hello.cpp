// The kernel of the example hello: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(answer)(KernelArgs& k) {
  if (k.first() == 0) k.tensor<int>(0)[0] = 42;
}
