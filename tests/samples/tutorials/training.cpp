#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <troupe/troupe.hpp>
#include <vector>

using namespace troupe;

constexpr std::uint32_t features = 4, examples = 256;  // per chip

// The gradient of the squared error over this chip's examples. Element 0 is the error itself.
TROUPE_KERNEL(gradient)(KernelArgs& k) {
  const auto x = k.tensor<const float>(0), y = k.tensor<const float>(1), w = k.tensor<const float>(2);
  const auto g = k.tensor<float>(3);
  for (float& value : g) value = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    float off = -y(i);
    for (std::size_t j = 0; j < w.size(); ++j) off += x(i, j) * w(j);
    g(0) += off * off;
    for (std::size_t j = 0; j < w.size(); ++j) g(j + 1) += 2 * off * x(i, j);
  }
}

// One step down. The gradient is that of all chips by now, so every chip makes the same step.
TROUPE_KERNEL(descend)(KernelArgs& k) {
  const auto g = k.tensor<const float>(0);
  const auto w = k.tensor<float>(1);
  for (std::size_t j = 0; j < w.size(); ++j) w(j) -= k.scalar<float>(0) * g(j + 1);
}

// A coroutine: it looks at the error while it goes, and ends when that is small enough.
Program train(Orchestrator& node, Tensor x, Tensor y, Tensor weights, std::int32_t epochs, float rate) {
  const int chips = node.chips();
  const DomainSpec spec{
      .chips = first_chips(chips),
      .buffers = {{"gradient", (features + 1) * sizeof(float)}, {"workspace", collective_workspace}}};
  const Domain domain = co_await node.allocate_domain(spec);

  std::vector<Tensor> copies;  // of the weights, one per chip
  for (int chip = 0; chip < chips; ++chip) {
    copies.push_back(node.tensor<float>({features}));
    node.copy(copies[chip], weights);
  }
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (int chip = 0; chip < chips; ++chip) {
      const auto begin = static_cast<std::uint64_t>(chip) * examples, end = begin + examples;
      node.submit("gradient", in(x.rows(begin, end)), in(y.rows(begin, end)), in(copies[chip]),
                  out(domain.rank(chip).buffer<float>("gradient")));
    }
    node.submit_group("all_reduce", domain.each([](const DomainRank& rank) {
      return args(inout(rank.buffer<float>("gradient")), inout(rank.buffer("workspace")), rank.context());
    }));
    for (int chip = 0; chip < chips; ++chip) {
      node.submit("descend", in(domain.rank(chip).buffer<float>("gradient")), inout(copies[chip]),
                  scalar(rate / static_cast<float>(chips * examples)));
    }
    const float error = co_await node.read<float>(domain.rank(0).buffer<float>("gradient"));
    if (epoch % 10 == 0) std::printf("epoch %d: error %g\n", epoch, error);
    if (error < 1e-6f) break;
  }
  node.copy(weights, copies[0]);
}

TROUPE_MODULE("training");

int main(int argc, char** argv) {
  try {
    System system{argc, argv};
    auto node = system.node();
    node.load(this_module());
    node.load(collectives());  // all_reduce

    const auto rows = static_cast<std::uint64_t>(node.chips()) * examples;
    auto x = node.tensor<float>({rows, features}), y = node.tensor<float>({rows});
    auto weights = node.tensor<float>({features}, 0.0f);
    {
      auto inputs = x.host<float>(), results = y.host<float>();
      for (std::uint64_t i = 0; i < rows; ++i) {
        results[i] = 0;
        for (std::uint64_t j = 0; j < features; ++j) {
          inputs[i * features + j] = static_cast<float>((i * 31 + j * 17) % 13) / 13 - 0.5f;
          results[i] += inputs[i * features + j] * static_cast<float>(j + 1);  // the weights are 1, 2, 3, 4
        }
      }
    }
    node.run(train, x, y, weights, 500, 2.0f);
    const auto learnt = weights.host<const float>();  // brings them from the chip
    std::cout << "weights: " << weights << "\nthe first is " << learnt[0] << "\n";
  } catch (const Error& error) {
    std::cerr << render(error) << "\n";
    return 1;
  }
}
