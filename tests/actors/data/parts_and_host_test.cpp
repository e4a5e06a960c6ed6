// A host function writes one part of a tensor while a chip works on another: no edge orders them, and each
// finds afterwards what the other has left. Also where a node has one chip, which keeps whole tensors.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "actors/data/counted.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using testing::Simulation;

TROUPE_KERNEL(parts_add)(KernelArgs& k) {
  for (auto& element : k.tensor<std::int64_t>(0)) element += 1;
}
TROUPE_KERNEL(parts_copy)(KernelArgs& k) {
  const auto from = k.tensor<const std::int64_t>(0);
  const auto to = k.tensor<std::int64_t>(1);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
}

namespace {

constexpr std::uint64_t half = 4;

void add_on_host(HostArgs& args) {
  for (auto& element : args.tensor<std::int64_t>(0)) element += 10;
}

void add_kernels(Simulation& sim) {
  sim.kernel("add", [](auto& call) {
    call.takes(100);
    for (auto& element : call.template tensor<std::int64_t>(0)) element += 1;
  });
  sim.kernel("copy", [](auto& call) {
    call.takes(100);
    const auto from = call.template tensor<std::int64_t>(0), to = call.template tensor<std::int64_t>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
  });
}

/// Runs the program on a tensor of zeros, in as many orders of events as there are seeds.
void in_every_order(const std::function<void(Orchestrator&, Tensor)>& program,
                    const std::vector<std::int64_t>& expected) {
  for (const actors::Count chips : {1, 2}) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      CAPTURE(chips);
      CAPTURE(seed);
      Simulation sim({.seed = seed, .chips = chips});
      add_kernels(sim);
      const auto x = sim.node().tensor<std::int64_t>({expected.size()});
      sim.node().run(program, x);
      const auto seen = x.host<const std::int64_t>();
      REQUIRE(std::vector<std::int64_t>(seen.begin(), seen.end()) == expected);
    }
  }
}

Tensor first(const Tensor& x) { return x.rows(0, half); }
Tensor second(const Tensor& x) { return x.rows(half, 2 * half); }
Tensor third(const Tensor& x) { return x.rows(2 * half, 3 * half); }

}  // namespace

TEST_CASE("a host function and a chip write parts of one tensor at the same time, and both stay") {
  in_every_order(
      [](Orchestrator& n, const Tensor& x) {
        n.submit_sub(add_on_host, inout(first(x)));
        n.submit("add", inout(second(x)));
      },
      {10, 10, 10, 10, 1, 1, 1, 1});
  in_every_order(
      [](Orchestrator& n, const Tensor& x) {
        n.submit("add", inout(second(x)));
        n.submit_sub(add_on_host, inout(first(x)));
      },
      {10, 10, 10, 10, 1, 1, 1, 1});
}

TEST_CASE("chains of a host function and of a chip on parts of one tensor do not lose a step") {
  in_every_order(
      [](Orchestrator& n, const Tensor& x) {
        for (int i = 0; i < 5; ++i) {
          n.submit_sub(add_on_host, inout(first(x)));
          n.submit("add", inout(second(x)));
          n.submit("add", inout(second(x)));
        }
        n.submit("add", inout(first(x)));
        n.submit_sub(add_on_host, inout(second(x)));
      },
      {51, 51, 51, 51, 20, 20, 20, 20});
}

TEST_CASE("a chip that reads a part while a host function writes another reads that one anew later") {
  in_every_order(
      [](Orchestrator& n, const Tensor& x) {
        n.submit_sub(add_on_host, inout(first(x)));
        const auto y = n.alloc<std::int64_t>({half}), z = n.alloc<std::int64_t>({half});
        n.submit("copy", in(second(x)), out(y));
        n.submit("copy", in(first(x)), out(z));
        n.copy(second(x), y);
        n.copy(third(x), z);
      },
      {10, 10, 10, 10, 0, 0, 0, 0, 10, 10, 10, 10});
}

TEST_CASE("a group waits for a host function that writes another part of its tensor, and goes on") {
  in_every_order(
      [](Orchestrator& n, const Tensor& x) {
        for (int i = 0; i < 3; ++i) {
          n.submit_sub(add_on_host, inout(first(x)));
          n.submit_group("add", {args(inout(second(x)))});
        }
      },
      {30, 30, 30, 30, 3, 3, 3, 3});
}

TEST_CASE("copies and fills of a part and a chip that writes another part both stay") {
  for (const bool late : {false, true}) {
    in_every_order(
        [late](Orchestrator& n, const Tensor& x) {
          const auto on_chip = [&] { n.submit("add", inout(second(x))); };
          if (!late) on_chip();
          n.fill(first(x), std::int64_t{7});
          if (late) on_chip();
          n.copy(third(x), first(x));
          on_chip();
          n.submit_sub(add_on_host, inout(first(x)));
        },
        {17, 17, 17, 17, 2, 2, 2, 2, 7, 7, 7, 7});
  }
}

TEST_CASE("nodes of a pod, their chips and host functions write parts of one tensor, and all stay") {
  const auto part = +[](Orchestrator& n, const Tensor& a) {
    n.submit("add", inout(a));
    n.submit_sub(add_on_host, inout(a.rows(0, half / 2)));
    n.submit("add", inout(a.rows(half / 2, half)));
  };
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 1, .nodes = 2});
    add_kernels(sim);
    const auto x = sim.node().tensor<std::int64_t>({3 * half});
    sim.node().run(
        [part](Orchestrator& p, const Tensor& t) {
          for (int round = 0; round < 2; ++round) {
            p.submit(part, inout(first(t)), on_chip(0));
            p.submit(part, inout(second(t)), on_chip(1));
            p.submit(part, inout(third(t)));
          }
        },
        x);
    const auto seen = x.host<const std::int64_t>();
    const std::vector<std::int64_t> expected{22, 22, 4, 4, 22, 22, 4, 4, 22, 22, 4, 4};
    REQUIRE(std::vector<std::int64_t>(seen.begin(), seen.end()) == expected);
  }
}

TEST_CASE("what a chip has fetched before a host function has written a part is never what stays") {
  test::Counted bench(1);
  bench.script.on("fold", [](auto& call) {
    const auto from = call.template tensor<float>(0), to = call.template tensor<float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  });
  bench.node->add_kernel("fold");
  std::latch begun{1}, goes_on{1};
  bench.script.on("make", [&](auto& call) {
    begun.wait();
    for (auto& element : call.template tensor<float>(0)) element = 1.0F;
  });
  bench.node->add_kernel("make");
  const auto x = bench.node->tensor<float>({2 * half}), y = bench.node->tensor<float>({half});
  const auto run = bench.node->submit(
      [&](Orchestrator& n, const Tensor& t, const Tensor& from) {
        n.submit_sub(
            [&](HostArgs& args) {
              begun.count_down();
              goes_on.wait();
              for (auto& element : args.tensor<float>(0)) element = 10.0F;
            },
            inout(first(t)));
        // What may be tried again is not followed before it has ended, and it ends when the other has begun.
        n.submit("make", out(from), retry(1), idempotent);
        n.submit("fold", in(from), inout(second(t)));
        n.submit("fold", in(from), inout(first(t)));
      },
      x, y);
  // By now the chip has the bytes, or its task waits.
  while (test::Counted::in == 0 && run.why().find("\"fold\": waits for its data") == std::string::npos)
    std::this_thread::yield();
  goes_on.count_down();
  REQUIRE(run.result());
  CHECK(x.host<const float>()[0] == 11.0F);
  CHECK(x.host<const float>()[half] == 1.0F);
}

TEST_CASE("what a host function writes beside what a chip is writing stays") {
  test::Counted bench(1);
  std::latch begun{1}, goes_on{1};
  bench.script.on("slow", [&](auto& call) {
    begun.count_down();
    goes_on.wait();
    for (auto& element : call.template tensor<float>(0)) element = 5.0F;
  });
  bench.node->add_kernel("slow");
  const auto x = bench.node->tensor<float>({2 * half});
  std::atomic<bool> wrote = false;
  const auto run = bench.node->submit(
      [&](Orchestrator& n, const Tensor& t) {
        n.submit("slow", inout(second(t)));
        n.submit_sub(
            [&](HostArgs& args) {
              for (auto& element : args.tensor<float>(0)) element = 10.0F;
              wrote = true;
            },
            inout(first(t)), name("beside"));
      },
      x);
  begun.wait();
  while (!wrote && run.why().find("\"beside\": waits for its data") == std::string::npos)
    std::this_thread::yield();
  goes_on.count_down();
  REQUIRE(run.result());
  CHECK(x.host<const float>()[0] == 10.0F);
  CHECK(x.host<const float>()[half] == 5.0F);
}

TEST_CASE("rows that a host function and chips share out between them, on threads") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  System system(quiet);
  const auto node = system.node(test::small_sims(1, std::uint64_t{64} << 20U));
  node.load(this_module());
  constexpr std::uint64_t rows = 8, width = 20'000;
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    const auto x = node.tensor<std::int64_t>({rows, width});
    node.run(
        [](Orchestrator& n, const Tensor& t) {
          for (std::uint64_t i = 0; i < 4 * rows; ++i) {
            const auto row = t.rows(i % rows, i % rows + 1);
            if (i % 2 == 0) {
              n.submit_sub(add_on_host, inout(row));
            } else {
              n.submit("parts_add", inout(row));
            }
          }
        },
        x);
    const auto seen = x.host<const std::int64_t>();
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < rows * width; ++i)
      wrong += seen[i] == (i / width % 2 == 0 ? 40 : 4) ? 0 : 1;
    REQUIRE(wrong == 0);
  }
}
