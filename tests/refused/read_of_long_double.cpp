// says: no tensor has elements of this type
#include <troupe/troupe.hpp>
void program(troupe::Orchestrator& node, troupe::Tensor x) { (void)node.read_all<long double>(x).get(); }
