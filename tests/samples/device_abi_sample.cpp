#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe::platform;
using troupe::runtime::Tensor;

TEST_CASE("the third run on a chip that dies then is told so") {
  ScriptedChip chip;
  chip.on("add_one", [](ScriptedCall& call) {
    for (float& value : call.tensor<float>(0).span()) value += 1.0f;
    call.takes(1000);  // virtual nanoseconds
  });
  chip.inject({.kind = ScriptedFault::Kind::lose_device, .device = 0, .at = 3});

  auto host = std::make_shared<ManualHost>();  // no threads, virtual clock
  std::vector<int> ends;
  ContextEvents events;
  events.complete = [&](std::span<const troupe_completion> completions) {
    for (const auto& end : completions) ends.push_back(end.code);
  };
  auto context = DeviceContext::create(chip.api(), host, events).value();
  context.set_device(0).value();
  troupe_callable callable{};
  callable.name = "add_one";
  const auto add_one = context.register_callable(callable).value();

  std::vector<float> x(16, 0.0f);
  const auto args = RunArgs::of(inout(Tensor::host(x.data(), {16})));
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const auto run = args.run(number, add_one);
    context.launch({&run, 1}).value();
  }
  host->run();  // everything happens here, in the same order every time
  CHECK(ends == std::vector<int>{0, 0, TROUPE_DEVICE_LOST});
  CHECK(x[0] == 2.0f);
}
