// A module in two versions, as of before and after a user's change; see replaced_module_test.cpp.
#include <cstdio>
#include <cstdlib>

#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module_macros.hpp"

TROUPE_KERNEL(regression_version)(troupe::runtime::KernelArgs& k) {
  k.tensor<float>(0)[0] = REGRESSION_VERSION;
}

TROUPE_MODULE("regressions_version");

namespace {

/// Somebody else's build, that ends while this file is being loaded.
[[maybe_unused]] const bool replaced = [] {
  const char* next = std::getenv("TROUPE_TEST_NEXT");  // NOLINT(concurrency-mt-unsafe): one thread
  const char* here = std::getenv("TROUPE_TEST_HERE");  // NOLINT(concurrency-mt-unsafe)
  return next != nullptr && here != nullptr && std::rename(next, here) == 0;
}();

}  // namespace
