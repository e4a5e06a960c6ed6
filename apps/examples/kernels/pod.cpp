// The kernel of the example pod: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(square)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (auto i = k.first(); i < x.size(); i += k.step()) x[i] *= x[i];
}
