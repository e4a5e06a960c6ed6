// says: parameters of a program are Orchestrator&, Tensor, and trivially copyable values
#include <string>
#include <troupe/troupe.hpp>
void start(troupe::Node& node) {
  node.run([](troupe::Orchestrator&, const std::string&) {}, std::string("x"));
}
