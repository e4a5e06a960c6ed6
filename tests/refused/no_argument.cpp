// says: this is no argument of a task
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node) { node.submit("step", "a name"); }
