#include "troupe/runtime/module_macros.hpp"

extern "C" int troupe_test_symbol_that_nobody_defines();
extern "C" __attribute__((visibility("default"))) int use() {
  return troupe_test_symbol_that_nobody_defines();
}
TROUPE_MODULE("unresolved");
