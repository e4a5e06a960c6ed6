// The kernels that the regressions define, each beside its story, are one module of this program.
#include "troupe/troupe.hpp"

TROUPE_MODULE("regressions");
