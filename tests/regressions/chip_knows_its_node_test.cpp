// A chip program that named a kernel of another module, or one that was added with add_kernel, failed with
// "which does not exist" until that kernel had been submitted once by itself, and again after each reset.
//
// Promised now: what a node knows, its chips know, always.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using platform::ChipArgs;
using platform::ChipOrchestrator;

TROUPE_CHIP_PROGRAM(regression_names_others)(ChipOrchestrator& chip, ChipArgs args) {
  auto [a, b, c] = args.tensors<3>();
  chip.aiv("regression_foreign", platform::in(a), platform::in(b), platform::out(c), platform::scalar(1.0F));
  chip.aiv("regression_from_elsewhere", platform::inout(c));
}

namespace {

std::vector<std::uint8_t> bytes_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  REQUIRE_MESSAGE(in, file);
  return {std::istreambuf_iterator<char>(in), {}};
}

float answer(const Node& node) {
  auto a = node.tensor<float>({4}, 2.0F), b = node.tensor<float>({4}, 3.0F), c = node.tensor<float>({4});
  node.run([&](Orchestrator& program) { program.submit("regression_names_others", in(a), in(b), out(c)); });
  return c.host<const float>()[3];
}

}  // namespace

TEST_CASE("a chip program names what its node knows from elsewhere, also after a reset") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  node.load(this_module());
  CHECK(test::error_of([&] { (void)answer(node); }));  // nobody knows the others yet
  node.add_kernel("regression_foreign", bytes_of(tests::built("tests/platform/sim/foreign/add.so")));
  node.load(tests::built("tests/regressions/second.so"));
  CHECK(answer(node) == 60.0F);
  node.chip(0).reset();
  CHECK(answer(node) == 60.0F);
}

TEST_CASE("an object that cannot be linked in does not keep chip programs from what they name") {
  System system({.log = [](int, std::string_view, std::string_view) {}});
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  node.load(this_module());
  node.add_kernel("regression_broken", {1, 2, 3});
  node.add_kernel("regression_foreign", bytes_of(tests::built("tests/platform/sim/foreign/add.so")));
  node.load(tests::built("tests/regressions/second.so"));
  CHECK(answer(node) == 60.0F);
}

TEST_CASE("a foreign kernel runs on cores of the kind that it was added for") {
  for (const auto cores : {CoreKind::vector, CoreKind::matrix}) {
    const auto trace = std::make_shared<actors::TraceSink>(actors::TraceSink::Options{});
    {
      System system({.trace = trace});
      auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
      node.add_kernel("regression_foreign", bytes_of(tests::built("tests/platform/sim/foreign/add.so")),
                      cores);
      auto a = node.tensor<float>({4}, 2.0F), b = node.tensor<float>({4}, 3.0F), c = node.tensor<float>({4});
      node.run([&](Orchestrator& program) {
        program.submit("regression_foreign", in(a), in(b), out(c), scalar(0.0F));
      });
      CHECK(c.host<const float>()[3] == 5.0F);
    }
    const auto spans = trace->snapshot().spans;
    const auto on = [&](actors::SpanKind kind) {
      return std::any_of(spans.begin(), spans.end(), [&](const auto& span) { return span.kind == kind; });
    };
    CHECK(on(actors::SpanKind::aic) == (cores == CoreKind::matrix));
    CHECK(on(actors::SpanKind::aiv) == (cores == CoreKind::vector));
  }
}
