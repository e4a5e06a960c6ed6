// The kernel of the example pipeline: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(stage)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (auto i = k.first(); i < to.size(); i += k.step()) to[i] = from[i] * 2 + 1;
}
