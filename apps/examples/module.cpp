// All built-in examples are one module; each is a file of its own here.
#include <troupe/troupe.hpp>

TROUPE_MODULE("examples");
