// A chip's memory: what does not fit together comes and goes, what is pinned stays, and who has no room is
// told what is in the way.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "actors/data/counted.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::Counted;
using test::error_of;
using test::small_sims;
using testing::Simulation;

TEST_CASE("tensors that do not fit on a chip together come and go, and nothing is lost") {
  SystemConfig quiet;
  quiet.log = [](int, std::string_view, std::string_view) {};
  System system(quiet);
  constexpr std::uint64_t memory = 4U << 20U, each = 1U << 20U;
  auto node = system.node(small_sims(1, memory));
  node.load(this_module());
  std::vector<Tensor> many;
  for (int i = 0; i < 16; ++i) many.push_back(node.tensor<float>({each / sizeof(float)}));
  node.run([&many](Orchestrator& n) {
    for (int round = 0; round < 3; ++round) {
      for (const auto& x : many) n.submit("data_add", inout(x));
    }
  });
  for (const auto& x : many) CHECK(x.host<const float>()[7] == 3.0F);

  auto large = node.tensor<float>({2 * memory / sizeof(float)});
  const auto refused =
      node.submit([](Orchestrator& n, Tensor t) { n.submit("data_add", inout(t)); }, large).result();
  REQUIRE_FALSE(refused);
  CHECK(
      refused.error().message().find("no room on chip0 for the tensors of task \"data_add\" together: tensor "
                                     "f32[2097152] (8388608 bytes)") != std::string::npos);
}

TEST_CASE("what a failed task left on a chip does not come home when its room is needed") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  System system(quiet);
  constexpr std::uint64_t memory = 4U << 20U, each = 1U << 20U;
  auto node = system.node(small_sims(1, memory));
  node.load(this_module());
  auto x = node.tensor<float>({each / sizeof(float)});
  std::vector<float> mine(each / sizeof(float));
  CHECK(error_of([&] { node.run([](Orchestrator& n, Tensor t) { n.submit("data_break", inout(t)); }, x); }));
  CHECK(error_of([&] {
    node.run([](Orchestrator& n, Tensor t) { n.submit("data_break", inout(t)); },
             Tensor::borrow(mine.data(), {mine.size()}));
  }));
  const auto view = x.overwrite<float>();
  view[0] = 7.0F;
  mine[0] = 8.0F;
  std::vector<Tensor> many;
  for (int i = 0; i < 8; ++i) {
    many.push_back(node.tensor<float>({each / sizeof(float)}));
    node.run([](Orchestrator& n, Tensor t) { n.submit("data_add", inout(t)); }, many.back());
  }
  CHECK(view[0] == 7.0F);
  CHECK(mine[0] == 8.0F);
}

TEST_CASE("status tells what copies take of a chip's memory") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  System system(quiet);
  auto node = system.node(small_sims(1, 1U << 26U));
  node.load(this_module());
  auto x = node.tensor<float>({1U << 20U});
  node.run([](Orchestrator& n, Tensor t) { n.submit("data_add", inout(t)); }, x);
  const auto chip = node.status().children[0];
  CHECK(chip.memory_cached == 4U << 20U);
  CHECK(chip.memory_used == 0);
  CHECK(chip.memory_peak >= 4U << 20U);
}

TEST_CASE("the memory of a tensor that has gone is what the next copy of its size takes") {
  Simulation sim({.chips = 1});
  sim.kernel("add", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element += 1.0F;
  });
  auto& node = sim.node();
  const auto step = [](Orchestrator& n, Tensor t) { n.submit("add", inout(t)); };
  for (int i = 0; i < 5; ++i) {
    node.run(step, node.tensor<float>({1024}));
    while (sim.steps(100) > 0) {
    }
    CHECK(node.status().children[0].memory_cached == 4096);
  }
}

TEST_CASE("a prefetch brings the bytes, and the task that needs them then moves nothing") {
  Counted bench(2);
  auto x = bench.node->tensor<float>({1024});
  bench.node->run([](Orchestrator& n, Tensor t) { n.prefetch(t, on_chip(1)); }, x);
  CHECK(Counted::in == 4096);
  bench.node->run(
      [](Orchestrator& n, Tensor t) {
        n.submit("add", inout(t), on_chip(1));
        n.prefetch(t, on_chip(1));  // it is there
      },
      x);
  CHECK(Counted::in == 4096);
  CHECK(Counted::out == 0);
  CHECK(x.host<const float>()[1023] == 1.0F);
}

TEST_CASE("what is pinned stays on its chip when others need room, and what was only brought there goes") {
  constexpr std::uint64_t each = 1U << 20U;
  for (const bool pinned : {false, true}) {
    Counted bench(1, 4 * each + each / 2);
    auto x = bench.node->tensor<float>({each / sizeof(float)});
    std::vector<Tensor> many;
    for (int i = 0; i < 8; ++i) many.push_back(bench.node->tensor<float>({each / sizeof(float)}));
    bench.node->run(
        [pinned, &many](Orchestrator& n, Tensor t) {
          pinned ? n.pin(t, on_chip(0)) : n.prefetch(t, on_chip(0));
          n.submit("add", inout(t));
          n.drain();
          for (const auto& other : many) n.submit("add", inout(other));
        },
        x);
    const auto before = Counted::in.load();
    bench.node->run([](Orchestrator& n, Tensor t) { n.submit("add", inout(t)); }, x);
    CHECK(Counted::in - before == (pinned ? 0 : each));
    CHECK(x.host<const float>()[0] == 2.0F);
    for (const auto& other : many) CHECK(other.host<const float>()[0] == 1.0F);
  }
}

TEST_CASE("an eviction brings the bytes home, and the memory that they had is there for others") {
  constexpr std::uint64_t each = 3U << 20U;
  Counted bench(1, 4U << 20U);
  auto x = bench.node->tensor<float>({each / sizeof(float)});
  bench.node->run(
      [](Orchestrator& n, Tensor t) {
        n.pin(t, on_chip(0));
        n.submit("add", inout(t));
      },
      x);
  CHECK(Counted::out == 0);
  CHECK(error_of([&] { (void)bench.node->chip(0).malloc<float>({each / sizeof(float)}); }));
  bench.node->run([](Orchestrator& n, Tensor t) { n.evict(t); }, x);
  CHECK(Counted::out == each);
  const auto there = bench.node->chip(0).malloc<float>({each / sizeof(float)});
  CHECK(x.host<const float>()[0] == 1.0F);
  CHECK(Counted::out == each);
}

// Memory of copies that are gone is kept for new ones up to a limit; what is beyond it goes back to the chip.
TEST_CASE("memory of a copy that goes is there for others also when it is too large to be kept") {
  constexpr std::uint32_t each = 300U << 20U;
  Counted bench(1, 512U << 20U);
  auto& node = *bench.node;
  bench.script.on("look", [](auto&) {});
  node.add_kernel("look");
  auto x = node.tensor<std::uint8_t>({each}), y = node.tensor<std::uint8_t>({each});
  node.run(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.submit("look", in(a));
        n.drain();
        n.submit("look", in(b));
      },
      x, y);
  CHECK(Counted::in == 2 * std::uint64_t{each});
  (void)node.chip(0).malloc<std::uint8_t>({each});
}

TEST_CASE("a task without room beside what is pinned is told what that is, and how large") {
  Counted bench(1, 4U << 20U);
  auto x = bench.node->tensor<float>({786'432}), y = bench.node->tensor<float>({524'288});
  const auto refused =
      bench.node
          ->submit(
              [](Orchestrator& n, Tensor a, Tensor b) {
                n.pin(a, on_chip(0));
                n.submit("add", inout(b), name("too much"), after(n.submit("add", inout(a))));
              },
              x, y)
          .result();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find(
            "no room on chip0 for the tensors of task \"too much\" together: tensor f32[524288] (2097152 "
            "bytes); beside what is pinned there: tensor f32[786432] (3145728 bytes)") != std::string::npos);
  CHECK(refused.error().hint().find("node.evict") != std::string::npos);
  bench.node->run(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.evict(a);
        n.fill(b, 1.0F);
        n.submit("add", inout(b));
      },
      x, y);
  CHECK(y.host<const float>()[0] == 2.0F);
}
