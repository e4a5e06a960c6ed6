#include <cstddef>
#include <iostream>

#include "pod_program.hpp"

using namespace troupe;

TROUPE_KERNEL(square)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t i = 0; i < to.extent(0); ++i) {
    for (std::size_t j = 0; j < to.extent(1); ++j) to(i, j) = from(i, j) * from(i, j);
  }
}

TROUPE_MODULE("squares");

int main() {
  try {
    System system;
    auto pod = system.pod({.nodes = {{.name = "left", .chips = 2}, {.name = "right", .chips = 2}}});
    pod.load(this_module());
    auto x = pod.tensor<float>({8, 4}, 3.0f), failures = pod.tensor<float>({1});
    pod.run(square_all, x, failures);
    const auto squares = x.host<const float>();  // brings the newest bytes, which are on chips
    std::cout << x << "\n" << failures.host<const float>()[0] << " parts failed\n";
    return squares[0] == 9 ? 0 : 1;
  } catch (const Error& error) {
    std::cerr << render(error) << "\n";
    return 1;
  }
}
