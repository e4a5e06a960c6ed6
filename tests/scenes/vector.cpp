// f = (a + b + 1)(a + b + 2) + (a + b), which for a = 2 and b = 3 is 47: one graph, built in three ways.
#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(vector_add)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
}
TROUPE_KERNEL(vector_add_scalar)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0);
  const auto b = k.tensor<float>(1);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = a[i] + k.scalar<float>(0);
}
TROUPE_KERNEL(vector_multiply)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] * b[i];
}

// Dependencies follow from the tags; the inner scope ends d, e and g.
TROUPE_CHIP_PROGRAM(vector_inferred)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [a, b, f] = args.tensors<3>();
  const auto c = chip.aiv("vector_add", in(a), in(b), out_like(a));
  auto scope = chip.scope();
  const auto d = chip.aiv("vector_add_scalar", in(c), out_like(a), scalar(1.0f));
  const auto e = chip.aiv("vector_add_scalar", in(c), out_like(a), scalar(2.0f));
  const auto g = chip.aiv("vector_multiply", in(d), in(e), out_like(a));
  chip.aiv("vector_add", in(g), in(c), out(f));
}

namespace {

void with_edges(ChipOrchestrator& chip, ChipArgs args) {
  const auto [a, b, f] = args.tensors<3>();
  const auto c = chip.aiv("vector_add", in(a), in(b), out_like(a));
  const auto d = chip.aiv("vector_add_scalar", in(c), out_like(a), scalar(1.0f));
  chip.edge(c, d);
  const auto e = chip.aiv("vector_add_scalar", in(c), out_like(a), scalar(2.0f));
  chip.edge(c, e);
  const auto g = chip.aiv("vector_multiply", in(d), in(e), out_like(a));
  chip.edge(d, g);
  chip.edge(e, g);
  const auto last = chip.aiv("vector_add", in(g), in(c), out(f));
  chip.edge(g, last);
}

}  // namespace

TROUPE_CHIP_PROGRAM_WITH(vector_host_graph, TROUPE_CHIP_RUNTIME_HOST_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) { with_edges(chip, args); }
TROUPE_CHIP_PROGRAM_WITH(vector_chip_graph, TROUPE_CHIP_RUNTIME_CHIP_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) { with_edges(chip, args); }

namespace troupe::scenes {

std::vector<Scene> vector_scenes() {
  std::vector<Scene> scenes;
  for (const char* program : {"vector_inferred", "vector_host_graph", "vector_chip_graph"}) {
    Scene scene;
    scene.name = program;
    scene.callable = program;
    scene.cases = {{.name = "small", .params = {{"rows", 8}}}, {.name = "tile", .params = {{"rows", 128}}}};
    scene.make = [](SceneArgs& args, const SceneParams& params) {
      const auto rows = static_cast<std::uint64_t>(params["rows"]);
      for (float& x : args.in<float>("a", {rows, 128})) x = 2;
      for (float& x : args.in<float>("b", {rows, 128})) x = 3;
      args.out<float>("f", {rows, 128});
    };
    scene.golden = [](SceneArgs& args, const SceneParams&) {
      for (float& x : args.expected<float>("f")) x = 47;
    };
    scenes.push_back(scene);
  }
  return scenes;
}

}  // namespace troupe::scenes
