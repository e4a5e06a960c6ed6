#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fixture.hpp"

namespace troupe::test {

/// x += r, then so many times x += 1, one after the other; the last of them may be another kernel.
class LongGraph {
 public:
  LongGraph(std::uint64_t add, std::uint32_t tasks, std::uint32_t elements, std::uint64_t last = 0) {
    const auto first = runtime::to_u64(1.0F);
    names_.reserve(tasks);
    for (std::uint32_t i = 0; i < tasks; ++i) {
      auto& task = tasks_.emplace_back();
      task.callable = last != 0 && i + 1 == tasks ? last : add;
      task.name = names_.emplace_back("step " + std::to_string(i)).c_str();
      task.tensor_count = task.scalar_count = 1;
      task.producer_count = i == 0 ? 0 : 1;
      if (i != 0) producers_.push_back(i - 1);
      auto& view = tensors_.emplace_back();
      view.ndims = 1;
      view.shape[0] = elements;
      view.strides[0] = 1;
      view.dtype = static_cast<std::uint8_t>(runtime::DType::f32);
      view.tag = TROUPE_TAG_INOUT;
      scalars_.push_back({first, i == 0 ? 0 : TROUPE_GRAPH_NO_SLOT, TROUPE_SCALAR_ANY, {}});
    }
    slot_.buffer = 1;
    slot_.buffer_bytes = elements * sizeof(float);
    slot_.ndims = 1;
    slot_.shape[0] = elements;
    slot_.strides[0] = 1;
    slot_.dtype = static_cast<std::uint8_t>(runtime::DType::f32);
    slot_.tag = TROUPE_TAG_INOUT;
  }
  troupe_graph graph() const {
    troupe_graph graph{};
    graph.size = sizeof graph;
    graph.name = "the long one";
    graph.tasks = tasks_.data();
    graph.tensors = tensors_.data();
    graph.scalars = scalars_.data();
    graph.producers = producers_.data();
    graph.slots = &slot_;
    graph.task_count = tasks_.size();
    graph.tensor_count = tensors_.size();
    graph.scalar_count = scalars_.size();
    graph.producer_count = producers_.size();
    graph.slot_count = graph.scalar_slot_count = 1;
    return graph;
  }

 private:
  std::vector<std::string> names_;
  std::vector<troupe_graph_task> tasks_{};
  std::vector<troupe_graph_tensor> tensors_{};
  std::vector<troupe_graph_scalar> scalars_;
  std::vector<std::uint32_t> producers_;
  troupe_tensor_arg slot_{};
};

/// The next launch of a graph; its end.
inline IsolatedChip::End launch_graph(IsolatedChip& chip, std::uint64_t graph, std::vector<float>& x, float r,
                                      std::uint64_t number) {
  const auto whole = runtime::Tensor::host(x.data(), {static_cast<std::uint32_t>(x.size())});
  const auto args = platform::RunArgs::of(runtime::inout(whole), runtime::scalar(r));
  chip.context->launch_graph(args.run(number, graph)).value();
  return chip.end_of(number);
}

/// What both kinds of chips that are elsewhere do with a graph whose description is longer than a frame.
inline void check_long_graph(IsolatedChip& chip) {
  constexpr std::uint32_t tasks = 40'000;
  REQUIRE((chip.context->properties().value().features & TROUPE_FEATURE_GRAPHS) != 0);
  const auto add = chip.kernel("isolated_add");
  const auto id = chip.context->register_graph(LongGraph(add, tasks, 16).graph()).value();
  std::vector<float> x(16, 1.0F);
  const float rest = tasks - 1;
  CHECK(launch_graph(chip, id, x, 5.0F, 1).code == 0);
  CHECK(x == std::vector<float>(16, 6.0F + rest));
  CHECK(launch_graph(chip, id, x, -2.0F, 2).code == 0);
  CHECK(x == std::vector<float>(16, 4.0F + 2 * rest));

  const auto failing =
      chip.context->register_graph(LongGraph(add, 3, 16, chip.kernel("isolated_fails")).graph()).value();
  const auto before = x;
  const auto failed = launch_graph(chip, failing, x, 1.0F, 3);
  CHECK(failed.code == TROUPE_DEVICE_KERNEL_FAILED);
  CHECK(contains(failed.message, "step 2"));
  CHECK(contains(failed.message, "on purpose"));
  CHECK(x == before);

  chip.context->unregister_graph(id).value();
  CHECK(launch_graph(chip, id, x, 1.0F, 4).code == TROUPE_DEVICE_UNKNOWN_CALLABLE);
  CHECK_FALSE(chip.context->unregister_graph(id));
  auto wrong = LongGraph(add, 3, 16).graph();
  wrong.tensor_count = UINT64_MAX / 2;
  CHECK(chip.context->register_graph(wrong).error() == platform::Errc::unsupported);
  CHECK(chip.context->register_graph({}).error() == platform::Errc::invalid_argument);
}

}  // namespace troupe::test
