#include <iostream>
#include <troupe/troupe.hpp>

void scale_twice(troupe::Orchestrator& node, float factor);  // in kernels.cpp

int main() {
  try {
    troupe::System system;
    auto node = system.node({.platform = "a2a3sim", .chips = 2});
    node.load(troupe::this_module());  // the kernels of this program
    node.run(scale_twice, 3.0f);
  } catch (const troupe::Error& error) {
    std::cerr << troupe::render(error) << "\n";
    return 1;
  }
}
