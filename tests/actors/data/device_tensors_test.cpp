// Tensors with a place on one chip: usable from everywhere.
#include <doctest/doctest.h>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using test::error_of;
using testing::Simulation;

namespace {

void add_kernels(Simulation& sim) {
  sim.kernel("add", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element += 1.0F;
  });
  sim.kernel("copy_to", [](auto& call) {
    const auto from = call.template tensor<float>(0);
    const auto to = call.template tensor<float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
  });
}

std::vector<float> elements(const Tensor& x) {
  const auto view = x.host<const float>();
  return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("a device tensor of another chip is moved, not refused") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  auto& node = sim.node();
  auto on_0 = node.chip(0).malloc<float>({4}), on_1 = node.chip(1).malloc<float>({4});
  auto x = node.tensor<float>({4}, 2.0F);
  node.chip(0).copy_to(on_0, x);
  node.run(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.submit("add", inout(a), on_chip(1));
        n.submit("copy_to", in(a), out(b));
        n.submit("add", inout(b), on_chip(0));
      },
      on_0, on_1);
  node.chip(1).copy_from(x, on_1);
  CHECK(x.host<const float>()[3] == 4.0F);
  node.chip(0).copy_from(x, on_0);
  CHECK(x.host<const float>()[3] == 3.0F);
}

TEST_CASE("host functions look at device tensors and change them") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    auto& node = sim.node();
    auto on_0 = node.chip(0).malloc<float>({4}), on_1 = node.chip(1).malloc<float>({4});
    auto x = node.tensor<float>({4}, 2.0F);
    node.chip(0).copy_to(on_0, x);
    node.run(
        [](Orchestrator& n, Tensor a, Tensor b) {
          n.submit("add", inout(a));
          n.submit_sub(
              [](HostArgs& args) {
                const auto from = args.tensor<const float>(0);
                const auto to = args.tensor<float>(1);
                for (std::size_t i = 0; i < to.size(); ++i) to[i] = 10.0F * from[i];
              },
              in(a), out(b));
          n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += 1.0F; }, inout(b.rows(1, 3)));
          n.submit("add", inout(b));
        },
        on_0, on_1);
    node.chip(1).copy_from(x, on_1);
    CHECK(elements(x) == std::vector<float>{31.0F, 32.0F, 31.0F, 31.0F});
  }
}

TEST_CASE("members of a group use device tensors of each other's chips") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    auto& node = sim.node();
    auto on_0 = node.chip(0).malloc<float>({4}), on_1 = node.chip(1).malloc<float>({4});
    auto to_0 = node.chip(0).malloc<float>({4}), to_1 = node.chip(1).malloc<float>({4});
    auto x = node.tensor<float>({4}, 1.0F), y = node.tensor<float>({4}, 2.0F);
    node.run([&](Orchestrator& n) {
      n.copy(on_0, x);
      n.copy(on_1, y);
      n.submit_group("copy_to", {args(in(on_1), out(to_1)), args(in(on_0), out(to_0))}, {0, 1});
      n.submit_group("add", {args(inout(to_0)), args(inout(to_1))});
      n.copy(x, to_0);
      n.copy(y, to_1);
    });
    CHECK(elements(x) == std::vector<float>(4, 2.0F));
    CHECK(elements(y) == std::vector<float>(4, 3.0F));
  }
}

TEST_CASE("a program makes a tensor with its place on a chip, used from everywhere") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    auto& node = sim.node();
    Tensor kept;
    node.run([&kept](Orchestrator& n) -> Program {
      auto x = n.device_tensor<float>({4}, on_chip(1));
      kept = x;
      CHECK((co_await n.read_all<float>(x)) == std::vector<float>(4, 0.0F));
      n.submit("add", inout(x), on_chip(1));
      n.submit("add", inout(x), on_chip(0));
      n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += 1.0F; }, inout(x));
      n.submit("add", inout(x));
    });
    CHECK(elements(kept) == std::vector<float>{4.0F, 3.0F, 3.0F, 3.0F});
  }
  Simulation sim;
  const auto refused = error_of(
      [&] { sim.node().run([](Orchestrator& n) { (void)n.device_tensor<float>({4}, on_chip(5)); }); });
  REQUIRE(refused);
  CHECK(refused->message().find("no chip number 5") != std::string::npos);
}

TEST_CASE(
    "a fetch of what stays on its chip gives a copy to look at, as it was in the order of the program") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed, .chips = 2});
    add_kernels(sim);
    auto& node = sim.node();
    auto there = node.chip(1).malloc<float>({2, 2});
    auto x = node.tensor<float>({2, 2}, 2.0F);
    Tensor before, after, part, window, same;
    node.run([&](Orchestrator& n) -> Program {
      n.copy(there, x);
      before = co_await n.fetch(there);
      n.submit("add", inout(there));
      after = co_await n.fetch(there);
      n.submit("add", inout(there.rows(1, 2)));
      part = co_await n.fetch(there.rows(1, 2));
      DomainSpec spec;
      spec.chips = {0};
      spec.buffers = {{"w", 4 * sizeof(float)}};
      const auto domain = co_await n.allocate_domain(spec);
      const auto buffer = domain.rank(0).buffer<float>("w");
      n.fill(buffer, 7.0F);
      window = co_await n.fetch(buffer);
      n.submit("add", inout(x));
      same = co_await n.fetch(x);
      CHECK(same.host<const float>()[0] == 3.0F);
    });
    CHECK(elements(before) == std::vector<float>(4, 2.0F));
    CHECK(elements(after) == std::vector<float>(4, 3.0F));
    CHECK(elements(part) == std::vector<float>(2, 4.0F));
    CHECK(elements(window) == std::vector<float>(4, 7.0F));
    CHECK(same.hold() == x.hold());
    Tensor plain;
    node.run([&](Orchestrator& n) { plain = n.fetch(there).wait(); });
    CHECK(elements(plain) == std::vector<float>{3.0F, 3.0F, 4.0F, 4.0F});
    const auto refused = error_of([&] { (void)there.host<const float>(); });
    REQUIRE(refused);
    CHECK_MESSAGE(refused->hint().find("(co_await node.fetch(x)).host<const T>()") != std::string::npos,
                  render(*refused));
  }
}

TEST_CASE("doubles are elements like others, also for fills, copies and reads") {
  Simulation sim;
  sim.kernel("halve", [](auto& call) {
    for (auto& element : call.template tensor<double>(0)) element /= 2;
  });
  auto& node = sim.node();
  auto x = node.tensor<double>({3}, 1e300);
  double first = 0;
  node.run(
      [&first](Orchestrator& n, Tensor a) -> Program {
        const auto b = n.alloc<double>({3});
        n.copy(b, a);
        n.submit("halve", inout(b));
        first = co_await n.read<double>(b);
        n.fill(a, 0.1);
      },
      x);
  CHECK(first == 5e299);
  CHECK(x.host<const double>()[2] == 0.1);
}
