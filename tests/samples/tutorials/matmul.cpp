#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <troupe/troupe.hpp>

using namespace troupe;

// c += a · b for one tile of each. Runs on one core of a chip.
TROUPE_KERNEL(multiply_add)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  const auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.extent(0); ++i) {
    for (std::size_t m = 0; m < a.extent(1); ++m) {
      for (std::size_t j = 0; j < c.extent(1); ++j) c(i, j) += a(i, m) * b(m, j);
    }
  }
}

// c += a · b, tile by tile. Tiles of c do not depend on each other; the steps of one tile do.
void matmul(Orchestrator& node, Tensor a, Tensor b, Tensor c, std::uint32_t tile) {
  const Shape size{tile, tile};
  for (std::uint64_t i = 0; i < c.shape()[0]; i += tile) {
    for (std::uint64_t j = 0; j < c.shape()[1]; j += tile) {
      for (std::uint64_t m = 0; m < a.shape()[1]; m += tile) {
        node.submit("multiply_add", in(a.view({i, m}, size)), in(b.view({m, j}, size)),
                    inout(c.view({i, j}, size)));
      }
    }
  }
}

TROUPE_MODULE("matmul");

int main(int argc, char** argv) {
  try {
    System system{argc, argv};  // --chips, --platform, --trace FILE, …
    auto node = system.node();
    node.load(this_module());

    constexpr std::uint64_t n = 256;
    auto a = node.tensor<float>({n, n}), b = node.tensor<float>({n, n}), c = node.tensor<float>({n, n}, 0.0f);
    {
      auto first = a.host<float>(), second = b.host<float>();
      for (std::uint64_t i = 0; i < n * n; ++i) {
        first[i] = static_cast<float>(i % 7);
        second[i] = static_cast<float>(i % 5);
      }
    }
    node.run(matmul, a, b, c, 64u);
    const auto got = c.host<const float>();  // brings the newest bytes, which may be on a chip
    std::cout << c << "\n";

    const auto first = a.host<const float>(), second = b.host<const float>();
    float worst = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      for (std::uint64_t j = 0; j < n; ++j) {
        float expected = 0;
        for (std::uint64_t m = 0; m < n; ++m) expected += first[i * n + m] * second[m * n + j];
        worst = std::max(worst, std::abs(got[i * n + j] - expected));
      }
    }
    std::printf("the largest difference is %g\n", worst);
    return worst == 0 ? 0 : 1;
  } catch (const Error& error) {
    std::cerr << render(error) << "\n";
    return 1;
  }
}
