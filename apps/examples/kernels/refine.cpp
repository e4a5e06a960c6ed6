// The kernel of the example refine: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(newton_step)(KernelArgs& k) {
  if (k.first() != 0) return;  // there is one number
  const auto x = k.tensor<float>(0);
  const float before = x[0];
  x[0] = 0.5f * (before + k.scalar<float>(0) / before);
  k.tensor<float>(1)[0] = x[0] > before ? x[0] - before : before - x[0];
}
