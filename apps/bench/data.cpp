// What it costs that data lives where it is used, on simulated chips, each row beside the same without
// troupe's moves: a chain over a tensor of the host's, an intermediate and a device tensor; the first touch
// and the last look beside memcpy; a tensor that two chips write in turns; tiles of
// one matrix beside tensors of their own. Medians of alternating runs.
//   bench_data [repeats]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "troupe/troupe.hpp"

using namespace troupe;
using Clock = std::chrono::steady_clock;

TROUPE_MODULE("bench_data");

TROUPE_KERNEL(touch)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  x[0] = x[0] + 1.0F;
}

TROUPE_KERNEL(touch_box)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  x(0, 0) = x(0, 0) + 1.0F;
}

namespace {

double micros(const std::function<void()>& work) {
  const auto from = Clock::now();
  work();
  return std::chrono::duration<double, std::micro>(Clock::now() - from).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string size_of(std::uint64_t bytes) {
  return bytes < (1U << 20U) ? std::to_string(bytes >> 10U) + " KiB" : std::to_string(bytes >> 20U) + " MiB";
}

runtime::Shape floats(std::uint64_t bytes) { return {bytes / sizeof(float)}; }

/// `tasks` in a row, all on chip 0.
double chain(const Node& node, const Tensor& x, int tasks) {
  return micros([&] {
    node.run(
        [tasks](Orchestrator& n, Tensor t) {
          for (int i = 0; i < tasks; ++i) n.submit("touch", inout(t), on_chip(0));
        },
        x);
  });
}
double chain_of_intermediate(const Node& node, std::uint64_t bytes, int tasks) {
  return micros([&] {
    node.run([tasks, bytes](Orchestrator& n) {
      const auto t = n.alloc<float>(floats(bytes));
      n.submit("touch", out(t), on_chip(0));
      for (int i = 1; i < tasks; ++i) n.submit("touch", inout(t), on_chip(0));
    });
  });
}

void chains(const Node& node, int repeats) {
  constexpr int few = 1000, many = 2000;
  std::printf("a chain, marginal us a task (%d tasks less %d)\n%10s %12s %14s %14s\n", many, few, "bytes",
              "host tensor", "intermediate", "device tensor");
  for (const std::uint64_t bytes : {4ULL << 10U, 64ULL << 10U, 1ULL << 20U, 4ULL << 20U, 64ULL << 20U}) {
    auto host = node.tensor<float>(floats(bytes));
    auto device = node.chip(0).malloc<float>(floats(bytes));
    std::vector<double> on_host, between, on_device;
    for (int i = 0; i < repeats; ++i) {
      const auto marginal = [&](auto run) { return (run(many) - run(few)) / (many - few); };
      on_host.push_back(marginal([&](int tasks) { return chain(node, host, tasks); }));
      between.push_back(marginal([&](int tasks) { return chain_of_intermediate(node, bytes, tasks); }));
      on_device.push_back(marginal([&](int tasks) { return chain(node, device, tasks); }));
    }
    std::printf("%10s %12.2f %14.2f %14.2f   %.2f x, %.2f x\n", size_of(bytes).c_str(), median(on_host),
                median(between), median(on_device), median(on_host) / median(on_device),
                median(between) / median(on_device));
  }
}

void touches(const Node& node, int repeats) {
  std::printf("\nfirst touch and last look, us (memcpy there and back)\n%10s %12s %14s\n", "bytes", "troupe",
              "memcpy");
  for (const std::uint64_t bytes : {1ULL << 20U, 16ULL << 20U, 64ULL << 20U}) {
    auto x = node.tensor<float>(floats(bytes), 1.0F);
    std::vector<float> there(bytes / sizeof(float)), back(bytes / sizeof(float));
    std::vector<double> ours, copies;
    for (int i = 0; i < repeats; ++i) {
      (void)x.host<float>();  // the chip's copy is out of date
      ours.push_back(micros([&] {
        node.run([](Orchestrator& n, Tensor t) { n.submit("touch", inout(t), on_chip(0)); }, x);
        (void)x.host<const float>();
      }));
      copies.push_back(micros([&] {
        std::memcpy(there.data(), back.data(), bytes);
        std::memcpy(back.data(), there.data(), bytes);
      }));
    }
    std::printf("%10s %12.0f %14.0f   %.2f of memcpy's speed\n", size_of(bytes).c_str(), median(ours),
                median(copies), median(copies) / median(ours));
  }
}

/// Rounds over 64 tiles on two chips, each tile always on the same: tiles of one matrix beside tensors of
/// their own.
void tiles(const Node& node, int repeats) {
  constexpr std::uint64_t side = 8, tile = 64;
  constexpr int few = 20, many = 60;
  auto matrix = node.tensor<float>({side * tile, side * tile});
  std::vector<Tensor> of_matrix, alone;
  for (std::uint64_t i = 0; i < side; ++i) {
    for (std::uint64_t k = 0; k < side; ++k) {
      of_matrix.push_back(matrix.view({i * tile, k * tile}, {tile, tile}));
      alone.push_back(node.tensor<float>({tile, tile}));
    }
  }
  const auto rounds = [&](const std::vector<Tensor>& list, int count) {
    return micros([&] {
      node.run([&list, count](Orchestrator& n) {
        for (int round = 0; round < count; ++round) {
          for (std::size_t i = 0; i < list.size(); ++i) n.submit("touch_box", inout(list[i]), on_chip(i % 2));
        }
      });
    });
  };
  std::vector<double> parts, wholes;
  for (int i = 0; i < repeats; ++i) {
    const auto marginal = [&](const std::vector<Tensor>& list) {
      return (rounds(list, many) - rounds(list, few)) / ((many - few) * static_cast<double>(list.size()));
    };
    parts.push_back(marginal(of_matrix));
    wholes.push_back(marginal(alone));
  }
  std::printf("\ntiles of a matrix on two chips, us a task: %.2f, tensors of their own %.2f: %.2f x\n",
              median(parts), median(wholes), median(parts) / median(wholes));
}

void in_turns(const Node& node, int repeats) {
  constexpr std::uint64_t bytes = 16ULL << 20U;
  constexpr int hops = 40;
  auto x = node.tensor<float>(floats(bytes), 1.0F);
  std::vector<float> there(bytes / sizeof(float)), back(bytes / sizeof(float));
  std::vector<double> ours, copies;
  for (int i = 0; i < repeats; ++i) {
    ours.push_back(micros([&] {
                     node.run(
                         [](Orchestrator& n, Tensor t) {
                           for (int hop = 0; hop < hops; ++hop) n.submit("touch", inout(t), on_chip(hop % 2));
                         },
                         x);
                   }) /
                   hops);
    copies.push_back(micros([&] { std::memcpy(there.data(), back.data(), bytes); }));
  }
  std::printf("\ntwo chips in turns over 16 MiB: %.0f us a hop, one memcpy %.0f us: %.2f copies a hop\n",
              median(ours), median(copies), median(ours) / median(copies));
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 5;
  if (repeats < 1) {
    std::fprintf(stderr, "usage: bench_data [repeats, at least 1]\n");
    return 2;
  }
  try {
    System system;
    NodeConfig config;
    config.chips = 2;
    auto node = system.node(config);
    node.load(this_module());
    chains(node, repeats);
    touches(node, repeats);
    in_turns(node, repeats);
    tiles(node, repeats);
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_data: %s\n", render(error).c_str());
    return 1;
  }
  return 0;
}
