// The kernel of the example multi_chip_dispatch: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(add_for_chip)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (auto i = k.first(); i < c.size(); i += k.step()) c[i] = a[i] + b[i] + k.scalar<float>(0);
}
