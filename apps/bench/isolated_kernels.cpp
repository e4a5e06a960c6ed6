#include "troupe/runtime/kernel.hpp"

TROUPE_MODULE("bench_isolated");
TROUPE_KERNEL(bench_nothing)(troupe::runtime::KernelArgs&) {}
