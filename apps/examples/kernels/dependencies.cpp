// The kernels of the example dependencies: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(set_all)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (auto i = k.first(); i < x.size(); i += k.step()) x[i] = k.scalar<float>(0);
}
TROUPE_KERNEL(multiply)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (auto i = k.first(); i < x.size(); i += k.step()) x[i] *= k.scalar<float>(0);
}
TROUPE_KERNEL(add_up)(KernelArgs& k) {
  if (k.first() != 0) return;  // one lane of one block adds
  const auto x = k.tensor<const float>(0);
  float sum = 0;
  for (unsigned i = 0; i < x.size(); ++i) sum += x[i];
  k.tensor<float>(1)[0] += sum;
}
