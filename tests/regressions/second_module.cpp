// A module of its own: what a chip program of another module may name all the same.
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module_macros.hpp"

using troupe::runtime::KernelArgs;

TROUPE_KERNEL(regression_from_elsewhere)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element *= 10.0F;
}

TROUPE_MODULE("regressions_second");
