// A program whose task asks for what its kernel refuses.
#include <troupe/troupe.hpp>

using namespace troupe;

TROUPE_MODULE("failing_on_device");

void below_zero(Orchestrator& node) {
  auto x = node.tensor<float>({1}, -1.0f);
  node.submit("root_of", inout(x), name("root of x"));
}
TROUPE_PROGRAM(below_zero);
