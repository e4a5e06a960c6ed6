// The samples of docs/writing-kernels.md. A test checks that every block there stands here.
#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "troupe/platform/chip_program.hpp"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/waiting_kernel.hpp"

using namespace troupe::platform;
using troupe::runtime::Compare;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(scale)(KernelArgs& k) {
  auto x = k.tensor<const float>(0);
  auto y = k.tensor<float>(1);
  const float factor = k.scalar<float>(0);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = factor * x[i];
}

TROUPE_KERNEL(scale_rows)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  const auto rows = x.extent(0);
  const auto blocks = static_cast<std::size_t>(k.block_num());
  for (auto row = static_cast<std::size_t>(k.block_idx()); row < rows; row += blocks) {
    for (std::size_t column = 0; column < x.extent(1); ++column) x(row, column) *= 2;
  }
}

TROUPE_KERNEL(produce)(KernelArgs& k) {
  auto data = k.tensor<float>(0);
  auto& ready = k.tensor<std::int32_t>(1)[0];
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = 1;
  k.notify(ready, std::int32_t{1});
}
TROUPE_KERNEL(consume)(KernelArgs& k) {
  auto data = k.tensor<float>(0);
  auto& ready = k.tensor<std::int32_t>(1)[0];
  if (k.wait_until(ready, Compare::equal, std::int32_t{1}) != troupe::runtime::WaitStatus::ready) return;
  for (std::size_t i = 0; i < data.size(); ++i) data[i] += 1;
}

TROUPE_WAITING_KERNEL(consume_by_looking)(KernelArgs& k) {
  auto& ready = k.tensor<std::int32_t>(1)[0];
  while (std::atomic_ref(ready).load() != 1 && !k.aborted()) sched_yield();
  for (auto& x : k.tensor<float>(0)) x += 1;
}

TROUPE_CHIP_PROGRAM(scale_and_double)(ChipOrchestrator& chip, ChipArgs args) {
  auto [x, y] = args.tensors<2>();
  auto scaled = chip.aiv("scale", in(x), out_like(x), scalar(3.0f));
  chip.aiv("scale_rows", inout(scaled), blocks(4));
  chip.aiv("scale", in(scaled), out(y), scalar(1.0f));
}

TROUPE_CHIP_PROGRAM(in_a_cluster)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  auto ready = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  chip.mixed({.aic = "produce", .aiv0 = "consume", .aiv1 = {}}, inout(x), inout(ready));
}

TROUPE_CHIP_PROGRAM(by_looking)(ChipOrchestrator& chip, ChipArgs args) {
  auto [x, ready] = args.tensors<2>();
  chip.aiv("consume_by_looking", inout(x), no_dep(ready));
  chip.aiv("produce", inout(args.tensor(2)), inout(ready));
}

TROUPE_CHIP_PROGRAM(until_small)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  while (chip.fatal() == 0 && chip.get<float>(x, 0, 0) > 1.0f) {
    auto s = chip.scope();
    auto half = chip.aiv("scale", in(x), out_like(x), scalar(0.5f));
    chip.aiv("scale", in(half), out(x), scalar(1.0f));
  }
}

TROUPE_CHIP_PROGRAM(layer_by_layer)(ChipOrchestrator& chip, ChipArgs args) {
  auto [x, y] = args.tensors<2>();
  for (int layer = 0; layer < 4; ++layer) {
    const auto factor = scalar(layer % 2 == 0 ? 1.0f : 0.25f);
    chip.graph("layer", slots(in(x), out(y), factor), [&](GraphScalars given) {
      auto scaled = chip.aiv("scale", in(x), out_like(x), given[0]);
      chip.aiv("scale", in(scaled), out(y), scalar(2.0f));
    });
    chip.aiv("scale", in(y), out(x), scalar(1.0f));
  }
}

TROUPE_CHIP_PROGRAM_WITH(by_hand, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  auto [x, y] = args.tensors<2>();
  auto first = chip.aiv("scale", in(x), out_like(x), scalar(2.0f));
  chip.aiv("scale", in(first), out(y), scalar(2.0f), after(first));
}
