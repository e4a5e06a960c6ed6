// A kernel that refuses what it gets, for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;
namespace math = troupe::runtime::math;

TROUPE_KERNEL(root_of)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  if (x[0] < 0) return k.fail("there is no root of what is below 0");
  if (k.first() == 0) x[0] = math::sqrt(x[0]);
}
