// says: a number argument is given as scalar(x)
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node) { node.submit("step", 1.0F); }
