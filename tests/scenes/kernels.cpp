// The kernels of devices.cpp: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;
namespace math = troupe::runtime::math;
namespace atomic = troupe::runtime::atomic;

TROUPE_KERNEL(device_saxpy)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto y = k.tensor<float>(1);
  for (auto i = k.first(); i < y.size(); i += k.step()) y[i] += k.scalar<float>(0) * x[i];
}

// Each row becomes exp(x - largest) / sum of those; a row for each lane.
TROUPE_KERNEL(device_softmax)(KernelArgs& k) {
  const auto x = k.tensor<double>(0);
  const auto columns = x.extent(1);
  for (auto row = k.first(); row < x.extent(0); row += k.step()) {
    double largest = x(row, 0), sum = 0;
    for (unsigned i = 1; i < columns; ++i) largest = math::max(largest, x(row, i));
    for (unsigned i = 0; i < columns; ++i) sum += x(row, i) = math::exp(x(row, i) - largest);
    for (unsigned i = 0; i < columns; ++i) x(row, i) /= sum;
  }
}

// y: the other functions of x, one after the other.
TROUPE_KERNEL(device_functions)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto y = k.tensor<float>(1);
  for (auto i = k.first(); i < x.size(); i += k.step()) {
    const float at = x[i], positive = math::abs(at) + 0.5f;
    const float all[] = {math::sqrt(positive),   math::log(positive), math::sin(at),
                         math::cos(at),          math::tanh(at),      math::floor(at),
                         math::ceil(at),         math::min(at, 0.0f), math::pow(positive, 1.5f),
                         math::fma(at, at, 1.0f)};
    for (unsigned f = 0; f < 10; ++f) y(i, f) = all[f];
  }
}

// counts[value]++, and of all values the sum, the least, the largest, and one that was first at its place.
TROUPE_KERNEL(device_count)(KernelArgs& k) {
  const auto values = k.tensor<const int>(0);
  const auto counts = k.tensor<int>(1), limits = k.tensor<int>(2);
  const auto sum = k.tensor<float>(3);
  const auto total = k.tensor<unsigned long>(4);
  for (auto i = k.first(); i < values.size(); i += k.step()) {
    atomic::add(counts[static_cast<unsigned>(values[i])], 1);
    atomic::min(limits[0], values[i]);
    atomic::max(limits[1], values[i]);
    if (atomic::exchange_if(limits[2], -1, 7) == -1) atomic::add(limits[3], 1);
    if (atomic::exchange(limits[4], 1) == 0) atomic::add(limits[5], 1);
    atomic::add(sum[0], 0.5f);
    atomic::add(total[0], 4294967296UL);
  }
}

// Lanes of a block hand over to each other: each adds what its neighbour wrote a step before.
TROUPE_KERNEL(device_hand_over)(KernelArgs& k) {
  const auto x = k.tensor<int>(0);  // a row for each block
  const auto n = static_cast<int>(x.extent(1));
  for (int step = 1; step < n; ++step) {
    for (int i = k.lane(); i < n; i += k.lanes()) {
      if (i == step) x(k.block_idx(), i) += x(k.block_idx(), i - 1);
    }
    k.sync();
  }
}

TROUPE_KERNEL(device_refuse)(KernelArgs& k) {
  if (k.tensor<const float>(0)[0] < 0) k.fail("there is no root of what is below 0");
}
