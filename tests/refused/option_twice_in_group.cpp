// says: a submit takes each option once
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node) {
  node.submit_group("step", {troupe::args()}, troupe::name("a"), troupe::name("b"));
}
