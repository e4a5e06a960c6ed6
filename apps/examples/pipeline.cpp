// A pipeline: chip i does stage i, batches follow each other through the chips. While chip 1 works on batch
// 0, chip 0 works on batch 1: the overlap comes from the data, the program is a plain loop.
#include <cstdint>
#include <string>
#include <troupe/troupe.hpp>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

void pipeline(Orchestrator& node, std::uint32_t batches) {
  std::vector<Tensor> results;
  float expected = 0;
  for (int chip = 0; chip < node.chips(); ++chip) expected = expected * 2 + 1;
  for (std::uint32_t batch = 0; batch < batches; ++batch) {
    Tensor data = node.tensor<float>({4096}, 0.0f);
    for (int chip = 0; chip < node.chips(); ++chip) {
      auto next = node.alloc<float>({4096});
      node.submit("stage", in(data), out(next), on_chip(chip),
                  name("batch " + std::to_string(batch) + " stage " + std::to_string(chip)));
      data = next;
    }
    results.push_back(data);
  }
  for (const auto& result : results)
    apps::expect(node.read<float>(result) == expected, "2x + 1 at every stage");
}
TROUPE_PROGRAM(pipeline);
