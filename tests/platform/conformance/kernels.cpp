#include "troupe/runtime/device_kernel.hpp"

// What the rules run on every platform; those that only a platform in this process can run are in
// host_kernels.cpp.
using troupe::runtime::KernelArgs;

// y = x
TROUPE_KERNEL(conformance_copy)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  const auto y = k.tensor<float>(1);
  for (auto i = k.first(); i < y.size(); i += k.step()) y[i] = x[i];
}

// x += s, for a tensor of two dimensions with any strides
TROUPE_KERNEL(conformance_add_scalar)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (auto i = k.first(); i < x.extent(0); i += k.step()) {
    for (decltype(i) j = 0; j < x.extent(1); ++j) x(i, j) += k.scalar<float>(0);
  }
}

// Writes into its input, which nobody may ever see on the host.
TROUPE_KERNEL(conformance_scribble)(KernelArgs& k) {
  const auto x = k.tensor<float>(0), y = k.tensor<float>(1);
  for (auto i = k.first(); i < x.size(); i += k.step()) x[i] = -1.0f;
  for (auto i = k.first(); i < y.size(); i += k.step()) y[i] = 1.0f;
}

TROUPE_KERNEL(conformance_fail)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (auto i = k.first(); i < x.size(); i += k.step()) x[i] = -1.0f;
  k.fail("this kernel fails on purpose");
}

// Goes on until its run is aborted: a long computation that asks between its steps.
TROUPE_KERNEL(conformance_until_aborted)(KernelArgs& k) {
  while (!k.aborted()) {
  }
}

// Waits until the first element is 1. In a window, since there another rank could raise it: a wait that
// nobody can end may be answered with DEADLOCK.
TROUPE_KERNEL(conformance_wait)(KernelArgs& k) {
  (void)k.wait_until(k.tensor<int>(0)[0], troupe::runtime::Compare::equal, 1);
}

// x[block] = number of blocks
TROUPE_KERNEL(conformance_blocks)(KernelArgs& k) {
  const auto x = k.tensor<int>(0);
  if (k.lane() == 0) x[static_cast<unsigned>(k.block_idx())] += k.block_num();
}

// x[lane] = number of lanes, and what all of them wrote, added up by one: y = {sum, number of lanes}
TROUPE_KERNEL(conformance_lanes)(KernelArgs& k) {
  const auto x = k.tensor<int>(0), y = k.tensor<int>(1);
  x[static_cast<unsigned>(k.lane())] = k.lanes();
  k.sync();
  if (k.lane() != 0) return;
  int sum = 0;
  for (int i = 0; i < k.lanes(); ++i) sum += x[static_cast<unsigned>(i)];
  y[0] = sum;
  y[1] = k.lanes();
}

// Ends the wait of conformance_wait.
TROUPE_KERNEL(conformance_raise)(KernelArgs& k) {
  if (k.first() == 0) k.notify(k.tensor<int>(0)[0], 1);
}
