#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module.hpp"

TROUPE_KERNEL(add)(troupe::runtime::KernelArgs& k) { k.tensor<float>(0)[0] += 1.0F; }
TROUPE_HOST_FUNCTION(add)(troupe::runtime::HostArgs& args) { args.tensor<float>(0)[0] += 2.0F; }
TROUPE_MODULE("two_files");

// What a user's code does to load its own module; the test calls it to see that the library finds its own.
extern "C" __attribute__((visibility("default"))) const troupe_module_v1* two_files_this_module() {
  return &troupe_this_module;
}
