// says: a host function is called with (HostArgs&)
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node) {
  node.submit_sub([](int) {});
}
