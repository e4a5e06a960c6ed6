// The command offers the programs of what it is linked into: here there are none.
#include "troupe/troupe.hpp"

TROUPE_MODULE("apps_tests");
