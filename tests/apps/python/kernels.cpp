// Kernels and programs for the tests of the Python package.
#include <cmath>
#include <stdexcept>
#include <thread>
#include <troupe/troupe.hpp>

using namespace troupe;

TROUPE_KERNEL(add)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
}

TROUPE_KERNEL(scale)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  const auto by = k.scalar<float>(0);
  if (x.dims() == 2) {
    for (std::size_t i = 0; i < x.extent(0); ++i) {
      for (std::size_t j = 0; j < x.extent(1); ++j) x(i, j) *= by;
    }
  } else {
    for (std::size_t i = 0; i < x.extent(0); ++i) x(i) *= by;
  }
}

TROUPE_KERNEL(count_up)(KernelArgs& k) {
  for (auto& value : k.tensor<std::int32_t>(0)) value += k.scalar<std::int32_t>(0);
}

// One step of Newton's method for a square root, and how far it went.
TROUPE_KERNEL(newton)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  const float before = x[0];
  x[0] = (before + k.scalar<float>(0) / before) / 2;
  k.tensor<float>(1)[0] = std::fabs(x[0] - before);
}

TROUPE_KERNEL(refuse)(KernelArgs&) { throw std::runtime_error("this kernel refuses"); }

// Does not return before it is asked to.
TROUPE_KERNEL(hang)(KernelArgs& k) {
  while (!k.aborted()) std::this_thread::yield();
}

// Fills its tensor with the rank's number.
TROUPE_KERNEL(mark)(KernelArgs& k) {
  for (auto& value : k.tensor<float>(0)) value = k.scalar<float>(0);
}

void scale_twice(Orchestrator& node, Tensor x, float by) {
  node.submit("scale", inout(x), scalar(by));
  node.submit("scale", inout(x), scalar(by));
}
TROUPE_PROGRAM(scale_twice);

TROUPE_MODULE("python_tests");
