#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/conformance/graph_description.hpp"
#include "platform/isolated/fixture.hpp"

namespace troupe::test {

/// x += r, then so many times x += 1, one after the other; the last of them may be another kernel.
class LongGraph {
 public:
  LongGraph(std::uint64_t add, std::uint32_t tasks, std::uint32_t elements, std::uint64_t last = 0) {
    std::vector<float> like(elements);
    auto whole = platform::RunArgs::of(runtime::inout(runtime::Tensor::host(like.data(), {elements})))
                     .run(1, add)
                     .tensors[0];
    what_.slot(whole, 1);
    names_.reserve(tasks);
    for (std::uint32_t i = 0; i < tasks; ++i) {
      names_.push_back("step " + std::to_string(i));
      what_.task(last != 0 && i + 1 == tasks ? last : add, names_.back().c_str(),
                 i == 0 ? std::vector<std::uint32_t>() : std::vector{i - 1});
      what_.view(0, runtime::Tag::inout);
      if (i == 0) {
        what_.scalar_slot(0);
      } else {
        what_.scalar(1.0F);
      }
    }
  }
  troupe_graph graph() const { return what_.graph(); }

 private:
  std::vector<std::string> names_;
  conformance::Description what_;
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
