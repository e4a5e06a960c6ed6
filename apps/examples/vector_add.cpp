// One kernel (kernels/vector_add.cpp) on one chip: copied in, computed, copied back, checked.
#include <cstdint>
#include <troupe/troupe.hpp>

#include "examples/check.hpp"

using namespace troupe;

void vector_add(Orchestrator& node, std::uint32_t elements) {
  apps::require(elements <= 1U << 28U, "the vectors are of more than 1 GiB", "up to 268435456 elements");
  auto a = node.tensor<float>({elements}, 2.0f);  // host buffers: the chip gets a copy
  auto b = node.tensor<float>({elements}, 3.0f);
  auto c = node.tensor<float>({elements});
  node.submit("add_vectors", in(a), in(b), out(c));
  for (const float value : node.read_all<float>(c).get()) apps::expect(value == 5.0f, "2 + 3 = 5");
}
TROUPE_PROGRAM(vector_add);
