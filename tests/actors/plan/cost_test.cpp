// What a plan costs: memory, and the messages of one that is a task of another program.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "actors/plan/layer.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using test::layer;
using test::size;
using test::with_kernels;
using testing::Simulation;

TEST_CASE("a plan takes at most 128 bytes for a task") {
  Simulation sim({.chips = 1, .arena_bytes = 64U << 20U});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
  constexpr int tasks = 2000;
  const auto bytes_of = [&](auto program) {
    const auto plan = node.record(program, x, y, 1.0f);
    CHECK(plan.tasks() >= tasks);
    return plan.bytes() / plan.tasks();
  };
  CHECK(bytes_of([](Orchestrator& n, Tensor a, Tensor b, Slot<float> r) {
          for (int i = 0; i < tasks; i += 2) {
            n.submit("add", in(a), in(b), out(b));
            n.submit("scale", inout(a), scalar(r));
          }
        }) <= 128);
  // Each of them another intermediate, a name, and an edge.
  CHECK(bytes_of([](Orchestrator& n, Tensor a, Tensor b, Slot<float>) {
          auto before = a;
          for (int i = 0; i < tasks; ++i) {
            auto after = n.alloc<float>({size});
            n.submit("add", in(a), in(before), out(after), name("link"));
            before = after;
          }
          n.submit("add", in(before), in(a), out(b));
        }) <= 128);
}

TEST_CASE("a plan whose tasks read five tensors takes at most 128 bytes for a task") {
  Simulation sim({.chips = 1, .arena_bytes = 64U << 20U});
  with_kernels(sim).kernel("five", [](auto&) {});
  auto& node = sim.node();
  constexpr std::size_t tasks = 4000, cells = 1024;
  auto x = node.tensor<float>({cells, size}), y = node.tensor<float>({cells, size});
  enum class From { cells_of_parameters, intermediates, parts_of_intermediates };
  for (const auto from : {From::cells_of_parameters, From::intermediates, From::parts_of_intermediates}) {
    const auto program = [from](Orchestrator& n, Tensor a, Tensor b) {
      std::mt19937 numbers(1);
      std::vector<Tensor> known;
      for (std::uint64_t i = 0; i < cells; ++i) known.push_back((i % 2 == 0 ? a : b).rows(i, i + 1));
      const auto read = [&] {
        const auto any = known[known.size() - 1 - numbers() % cells];
        if (from != From::parts_of_intermediates) return any;
        const auto columns = numbers() % size;
        return any.slice(1, columns, columns + 1);
      };
      for (std::size_t i = 0; i < tasks; ++i) {
        const auto to = from == From::cells_of_parameters ? read() : n.alloc<float>({1, size});
        n.submit("five", in(read()), in(read()), in(read()), in(read()), in(read()), out(to));
        if (from != From::cells_of_parameters) known.push_back(to);
      }
    };
    const auto plan = node.record(program, x, y);
    CAPTURE(static_cast<int>(from));
    CAPTURE(plan.steps());
    CHECK(plan.tasks() == tasks);
    CHECK(static_cast<double>(plan.bytes()) / tasks <= 128);
  }
}

TEST_CASE(
    "a plan that is a task of a program costs the messages of a task for each of its chips, and one more") {
  for (const int chips : {1, 2}) {
    CAPTURE(chips);
    Simulation sim({.chips = static_cast<actors::Count>(chips)});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size}), z = node.tensor<float>({size});
    const auto plan_of = [&](int tasks) {
      const auto plan = node.record(
          [chips, tasks](Orchestrator& n, Tensor a, Tensor b, Tensor c) {
            for (int i = 0; i < tasks; ++i) {
              n.submit("add", in(a), in(b), inout(b), on_chip(0));
              if (chips == 2) n.submit("add", in(a), in(c), inout(c), on_chip(1));
            }
          },
          x, y, z);
      CHECK(plan.steps() == static_cast<std::size_t>(chips));
      return plan;
    };
    const auto short_plan = plan_of(4), long_plan = plan_of(8);
    // Messages and what devices say; ten of a kind, so that what a program costs itself does not count.
    const auto steps_of = [&](auto once) {
      const auto steps_of_program = [&](int times) {
        sim.steps(1'000'000);
        auto run = node.submit([&, times](Orchestrator& n) -> Program {
          for (int i = 0; i < times; ++i) co_await once(n);
        });
        const auto made = sim.steps(1'000'000);
        run.get();
        return static_cast<double>(made);
      };
      return (steps_of_program(20) - steps_of_program(10)) / 10;
    };
    const auto task = steps_of([&](Orchestrator& n) -> Program {
      const auto one = n.submit("add", in(x), in(y), inout(y), on_chip(0));
      if (chips == 2) co_await n.submit("add", in(x), in(z), inout(z), on_chip(1));
      co_await one;
    });
    const auto replay = steps_of([&](Orchestrator& n) { return n.submit(short_plan, x, y, z); });
    const auto longer = steps_of([&](Orchestrator& n) { return n.submit(long_plan, x, y, z); });
    const auto of_a_kernel = (longer - replay) / (4 * chips);
    CAPTURE(task);
    CAPTURE(replay);
    CAPTURE(of_a_kernel);
    CHECK(of_a_kernel <= 2);  // its device begins and ends it
    CHECK(replay - 3 * chips * of_a_kernel <= task + chips);
  }
}
