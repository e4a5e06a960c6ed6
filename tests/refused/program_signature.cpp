// says: a program is called with (Orchestrator&, the arguments given to run or submit)
#include <troupe/troupe.hpp>
void start(troupe::Node& node) {
  node.run([](int) {});
}
