// says: submit takes the name of a callable, or a pointer to a program
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node) {
  node.submit([](troupe::Orchestrator&) {});
}
