// Plans on simulated chips, which take a step as one graph of theirs.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "actors/plan/random_program.hpp"
#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using test::random_steps;
using test::submit_all;
using test::width;

namespace {

std::atomic<int> entered{0}, told{0};
constexpr std::int64_t poison = -1;  ///< a number with which "plan_write" fails

NodeConfig sims(int chips) {
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = chips;
  return config;
}

using Memory = std::vector<std::int64_t>;
Memory bytes_of(const Tensor& tensor) {
  const auto view = tensor.host<const std::int64_t>();
  return {view.begin(), view.end()};
}
Tensor numbered(const Node& node, std::int64_t first) {
  auto tensor = node.tensor<std::int64_t>({width});
  auto view = tensor.host<std::int64_t>();
  for (std::size_t i = 0; i < width; ++i) view[i] = first + static_cast<std::int64_t>(i * 7);
  return tensor;
}

}  // namespace

TROUPE_KERNEL(plan_mix)(KernelArgs& k) {
  test::mix(k.tensor<const std::int64_t>(0), k.tensor<const std::int64_t>(1), k.tensor<std::int64_t>(2),
            k.scalar<std::int64_t>(0));
}
TROUPE_KERNEL(plan_write)(KernelArgs& k) {
  if (k.scalar<std::int64_t>(0) == poison) throw std::runtime_error("as it was told");
  test::write(k.tensor<const std::int64_t>(0), k.tensor<std::int64_t>(1), k.scalar<std::int64_t>(0));
}
TROUPE_KERNEL(plan_fails)(KernelArgs& k) {
  if (k.scalar<std::int64_t>(0) != 0) throw std::runtime_error("as it was told");
}
TROUPE_KERNEL(plan_stays)(KernelArgs& k) {
  if (k.scalar<std::int64_t>(0) == 0) return;
  ++entered;
  while (told.load() == 0) std::this_thread::yield();
}

TEST_CASE("a random program leaves the same memory on simulated chips anew and as a plan") {
  System system;
  for (const int chips : {1, 2}) {
    auto node = system.node(sims(chips));
    node.load(runtime::this_module());
    const auto first = test::first_seed();
    for (std::uint64_t seed = first; seed < first + test::seeds(60); ++seed) {
      CAPTURE(chips);
      CAPTURE(seed);
      const auto steps = random_steps(seed, chips);
      const auto program = [steps](Orchestrator& n, Tensor x, Tensor y, Tensor z, Slot<std::int64_t> r) {
        submit_all(n, steps, x, y, z, r);
      };
      std::optional<Plan> plan;
      for (std::int64_t round = 0; round < 3; ++round) {
        const auto x = numbered(node, round), y = numbered(node, 50 - round), z = numbered(node, 900);
        const auto p = numbered(node, round), q = numbered(node, 50 - round), r = numbered(node, 900);
        node.run(program, x, y, z, 10 + round);
        if (!plan) {
          plan = node.record(program, p, q, r, 10 + round);
        } else {
          node.run(*plan, p, q, r, 10 + round);
        }
        REQUIRE(bytes_of(p) == bytes_of(x));
        REQUIRE(bytes_of(q) == bytes_of(y));
        REQUIRE(bytes_of(r) == bytes_of(z));
      }
    }
  }
}

TEST_CASE("a failure in a step on a simulated chip names its task, and the next replay works") {
  System system;
  auto node = system.node(sims(1));
  node.load(runtime::this_module());
  const auto program = [](Orchestrator& n, Tensor x, Tensor y, Slot<std::int64_t> fails) {
    n.submit("plan_write", in(x), out(y), scalar(std::int64_t{1}));
    n.submit("plan_fails", in(x), inout(y), scalar(fails), name("the weak one"));
    n.submit("plan_write", in(y), out(x), scalar(std::int64_t{1}));
  };
  auto x = numbered(node, 5), y = numbered(node, 0);
  const auto plan = node.record(name("three"), program, x, y, std::int64_t{0});
  CHECK(plan.steps() == 1);
  for (int round = 0; round < 5; ++round) {
    try {
      node.run(plan, x, y, std::int64_t{1});
      FAIL("it did not fail");
    } catch (const Error& error) {
      const auto text = render(error);
      CAPTURE(text);
      CHECK(error == actors::Errc::task_failed);
      CHECK(text.find("its task \"the weak one\" (number 1 of 3) failed") != std::string::npos);
      CHECK(text.find("as it was told") != std::string::npos);
    }
    x.overwrite<std::int64_t>();
    x = numbered(node, 5);
    node.run(plan, x, y, std::int64_t{0});
    CHECK(bytes_of(x)[0] == 3);
  }
}

TEST_CASE("a step on a simulated chip is cancelled in its middle") {
  System system;
  auto node = system.node(sims(1));
  node.load(runtime::this_module());
  const auto program = [](Orchestrator& n, Tensor x, Slot<std::int64_t> stays) {
    n.submit("plan_stays", inout(x), scalar(stays));
    n.submit("plan_write", in(x), out(x), scalar(std::int64_t{1}));
  };
  auto x = numbered(node, 5);
  const auto plan = node.record(program, x, std::int64_t{0});
  for (int round = 1; round <= 3; ++round) {
    told = 0;
    auto run = node.submit(plan, numbered(node, 5), std::int64_t{1});
    while (entered.load() < round) std::this_thread::yield();
    run.cancel();
    told = 1;
    const auto result = run.result();
    CHECK((!result && result.error() == actors::Errc::cancelled));
    x = numbered(node, 5);
    node.run(plan, x, std::int64_t{0});
    CHECK(bytes_of(x)[0] == 4);
  }
}

TEST_CASE("what a chip was told of plans that are gone is not mistaken for the next") {
  System system;
  auto node = system.node(sims(1));
  node.load(runtime::this_module());
  for (std::int64_t round = 0; round < 40; ++round) {
    auto x = numbered(node, round);
    const auto plan = node.record(
        [round](Orchestrator& n, Tensor t) {
          for (std::int64_t i = 0; i <= round % 3 + 1; ++i)
            n.submit("plan_write", in(t), out(t), scalar(round));
        },
        x);
    x = numbered(node, 0);
    node.run(plan, x);
    CHECK(bytes_of(x)[0] == -round * (round % 3 + 2));
  }
}

TEST_CASE("random plans on simulated chips, of which tasks fail, chips die and runs are cancelled") {
  SystemConfig quiet;
  quiet.log = [](int, std::string_view, std::string_view) {};
  System system(quiet);
  std::uint64_t right = 0, wrong = 0;
  for (const int chips : {1, 2}) {
    auto config = sims(chips);
    config.restart = {.restarts = 1'000'000};
    auto node = system.node(config);
    node.load(runtime::this_module());
    const auto first = test::first_seed();
    for (std::uint64_t seed = first; seed < first + test::seeds(40); ++seed) {
      CAPTURE(chips);
      CAPTURE(seed);
      std::mt19937_64 numbers(seed);
      const auto steps = random_steps(seed, chips);
      const auto program = [steps](Orchestrator& n, Tensor x, Tensor y, Tensor z, Slot<std::int64_t> r) {
        submit_all(n, steps, x, y, z, r);
      };
      std::array<Memory, 3> model;
      std::array<Tensor, 3> given;
      const auto fresh = [&](std::int64_t round) {
        for (std::size_t i = 0; i < 3; ++i) {
          given[i] = numbered(node, round + static_cast<std::int64_t>(100 * i));
          model[i] = bytes_of(given[i]);
        }
      };
      const auto is_right = [&](std::int64_t number) {
        const auto stretch = [&](std::size_t i) { return test::Stretch{model[i].data()}; };
        test::run_on_host(steps, stretch(0), stretch(1), stretch(2), number);
        for (std::size_t i = 0; i < 3; ++i) {
          Memory seen;
          // A chip that goes afterwards may take the bytes along that nobody has asked for.
          const auto gone = test::error_of([&] { seen = bytes_of(given[i]); });
          if (gone) REQUIRE(*gone == actors::Errc::data_lost);
          if (gone) return ++wrong, false;
          REQUIRE(seen == model[i]);
        }
        return ++right, true;
      };
      std::optional<Plan> plan;
      // A chip may still be on its way back from the case before.
      for (int attempt = 0; !plan; ++attempt) {
        REQUIRE(attempt < 1000);
        fresh(0);
        if (!test::error_of(
                [&] { plan = node.record(program, given[0], given[1], given[2], std::int64_t{7}); }))
          is_right(7);
      }
      for (std::int64_t round = 1; round <= 4; ++round) {
        fresh(round);
        const auto how = numbers() % 4;
        const std::int64_t number = how == 0 ? poison : 10 + round;
        auto run = node.submit(*plan, given[0], given[1], given[2], number);
        for (auto pauses = numbers() % 64; pauses > 0; --pauses) std::this_thread::yield();
        if (how == 1) run.cancel();
        if (how == 2) testing::kill(node, static_cast<int>(numbers() % static_cast<std::uint64_t>(chips)));
        const auto result = run.result();
        if (result) {
          is_right(number);
        } else {
          ++wrong;
        }
      }
      for (int attempt = 0;; ++attempt) {
        REQUIRE(attempt < 1000);
        fresh(50);
        if (test::error_of([&] { node.run(*plan, given[0], given[1], given[2], std::int64_t{5}); })) continue;
        if (is_right(5)) break;
      }
    }
  }
  CHECK(right > 0);
  if (test::seeds(40) >= 40) CHECK(wrong > 0);
}
