#include "troupe/runtime/kernel.hpp"

TROUPE_KERNEL(mul)(troupe::runtime::KernelArgs& k) { k.tensor<float>(0)[0] *= 3.0F; }
