#include <troupe/troupe.hpp>

#include <cstdio>
int main() {
  troupe::System system;
  system.node({.chips = 2}).run([](troupe::Orchestrator& node) {
    node.submit_sub([](troupe::HostArgs&) { std::puts("hello from a task"); });
  });
}
