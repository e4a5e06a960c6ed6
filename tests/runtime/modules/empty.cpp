#include "troupe/runtime/module_macros.hpp"

TROUPE_MODULE("empty");
