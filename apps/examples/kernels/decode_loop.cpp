// The kernels of the example decode_loop: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;
namespace math = troupe::runtime::math;

/// out = tanh(weights x), a row of the matrix for each element of the result.
TROUPE_KERNEL(decode_layer)(KernelArgs& k) {
  const auto weights = k.tensor<const float>(0);
  const auto x = k.tensor<const float>(1);
  const auto out = k.tensor<float>(2);
  for (auto row = k.first(); row < out.size(); row += k.step()) {
    float sum = 0;
    for (unsigned column = 0; column < x.size(); ++column) sum += weights(row, column) * x[column];
    out[row] = math::tanh(sum);
  }
}
/// What the network remembers: state = keep * state + x.
TROUPE_KERNEL(decode_remember)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto state = k.tensor<float>(1);
  for (auto i = k.first(); i < state.size(); i += k.step()) state[i] = k.scalar<float>(0) * state[i] + x[i];
}
