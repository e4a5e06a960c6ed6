#include "troupe/runtime/module_abi.h"

namespace {
const troupe_module_v1 from_the_future = {TROUPE_MODULE_MAGIC,
                                          2,
                                          sizeof(troupe_module_v1),
                                          sizeof(troupe_callable_v1),
                                          "newer",
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          nullptr,
                                          nullptr};
}
extern "C" {
extern const troupe_module_v1* const troupe_module __attribute__((visibility("default")));
const troupe_module_v1* const troupe_module = &from_the_future;
}
