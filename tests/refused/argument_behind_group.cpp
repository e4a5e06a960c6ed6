// says: a group has its arguments in its members
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node, troupe::Tensor x) {
  node.submit_group("step", {troupe::args()}, troupe::in(x));
}
