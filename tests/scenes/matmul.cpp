// A tiled matrix multiply: products of tiles on matrix cores, sums of products on vector cores.
#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(tile_product)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.extent(0); ++i) {
    for (std::size_t j = 0; j < c.extent(1); ++j) {
      float sum = 0;
      for (std::size_t n = 0; n < a.extent(1); ++n) sum += a(i, n) * b(n, j);
      c(i, j) = sum;
    }
  }
}
TROUPE_KERNEL(tile_add)(KernelArgs& k) {
  const auto product = k.tensor<const float>(0);
  const auto sum = k.tensor<float>(1);
  for (std::size_t i = 0; i < sum.extent(0); ++i) {
    for (std::size_t j = 0; j < sum.extent(1); ++j) sum(i, j) += product(i, j);
  }
}
TROUPE_KERNEL(tile_clear)(KernelArgs& k) {
  const auto tile = k.tensor<float>(0);
  for (std::size_t i = 0; i < tile.extent(0); ++i) {
    for (std::size_t j = 0; j < tile.extent(1); ++j) tile(i, j) = 0;
  }
}

TROUPE_CHIP_PROGRAM(matmul_tiled)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [a, b, c] = args.tensors<3>();
  const std::uint64_t tile = args.scalar<std::uint32_t>(0), size = a.extent(0);
  for (std::uint64_t i = 0; i < size; i += tile) {
    for (std::uint64_t j = 0; j < size; j += tile) {
      auto scope = chip.scope();  // the products of this tile end with it
      const auto sum = c.view({i, j}, {tile, tile});
      chip.aiv("tile_clear", out(sum));
      for (std::uint64_t n = 0; n < size; n += tile) {
        const auto product = chip.aic("tile_product", in(a.view({i, n}, {tile, tile})),
                                      in(b.view({n, j}, {tile, tile})), out_new<float>({tile, tile}));
        chip.aiv("tile_add", in(product), inout(sum));
      }
    }
  }
}

namespace troupe::scenes {

std::vector<Scene> matmul_scenes() {
  Scene scene;
  scene.name = "matmul_tiled";
  scene.callable = "matmul_tiled";
  scene.cases = {{.name = "4x4x4", .params = {{"size", 64}, {"tile", 16}}},
                 {.name = "8x8x8", .params = {{"size", 128}, {"tile", 16}}}};
  // The order of the sums is the program's, so the result is exact.
  scene.relative = scene.absolute = 0;
  scene.make = [](SceneArgs& args, const SceneParams& params) {
    const auto size = static_cast<std::uint64_t>(params["size"]);
    std::uint32_t state = 1;
    const auto noise = [&] { return static_cast<float>((state = state * 1664525 + 1013904223) >> 24) / 64; };
    for (float& x : args.in<float>("a", {size, size})) x = noise();
    for (float& x : args.in<float>("b", {size, size})) x = noise();
    args.out<float>("c", {size, size});
    args.scalar("tile", static_cast<std::uint32_t>(params["tile"]));
  };
  scene.golden = [](SceneArgs& args, const SceneParams& params) {
    const auto size = static_cast<std::size_t>(params["size"]),
               tile = static_cast<std::size_t>(params["tile"]);
    const auto a = args.tensor<float>("a"), b = args.tensor<float>("b");
    const auto c = args.expected<float>("c");
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t j = 0; j < size; ++j) {
        float sum = 0;
        for (std::size_t first = 0; first < size; first += tile) {
          float product = 0;
          for (std::size_t n = first; n < first + tile; ++n) product += a[i * size + n] * b[n * size + j];
          sum += product;
        }
        c[i * size + j] = sum;
      }
    }
  };
  return {scene};
}

}  // namespace troupe::scenes
