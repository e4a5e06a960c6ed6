// says: a tensor argument says what the task does with it
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node, troupe::Tensor x) { node.submit_group("step", {troupe::args(x)}); }
