// The kernel of the example failure_and_retry: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(increment)(KernelArgs& k) {
  if (k.first() == 0) k.tensor<float>(1)[0] = k.tensor<const float>(0)[0] + 1;
}
