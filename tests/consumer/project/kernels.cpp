#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(twice)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (auto i = k.first(); i < x.size(); i += k.step()) x[i] *= 2;
}
TROUPE_MODULE("kernels");
