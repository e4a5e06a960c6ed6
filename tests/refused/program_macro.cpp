// says: a program is void or Program f(Orchestrator&, its parameters)
#include <troupe/troupe.hpp>
static void train(int) {}
TROUPE_PROGRAM(train);
