#include "troupe/runtime/kernel.hpp"

TROUPE_KERNEL(add)(troupe::runtime::KernelArgs&) {}
TROUPE_MODULE("twice");
