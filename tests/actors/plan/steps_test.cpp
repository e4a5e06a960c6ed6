// What a replay submits does what the tasks that it stands for did, and needs no more than they: memory,
// order, arguments, and what keeps them.
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "actors/plan/layer.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using test::size;
using test::with_kernels;
using testing::Simulation;

namespace {

constexpr std::uint32_t large = (128U << 10U) / sizeof(float);  ///< an eighth of the memory for intermediates

/// Memory of the user's own that says whether somebody keeps it.
struct Kept {
  std::vector<float> elements = std::vector<float>(size);
  std::weak_ptr<void> alive;

  Tensor tensor() {
    struct Hold final : actors::BufferHold {};
    const auto hold = std::make_shared<Hold>();
    alive = hold;
    return Tensor(Tensor::borrow(elements.data(), {size}).description(), hold);
  }
};

float first_of(const Tensor& tensor) { return tensor.host<const float>()[0]; }

}  // namespace

TEST_CASE("replays of a program whose intermediates come and go need no more memory than it did") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    for (const actors::Count chips : {1, 2}) {
      Simulation sim({.seed = seed, .chips = chips});
      auto& node = with_kernels(sim).node();
      const auto sum = [](HostArgs& call) { call.tensor<float>(1)[0] += call.tensor<const float>(0)[0]; };
      // Sixteen of them are twice the memory that there is.
      const auto program = [&](Orchestrator& n, Tensor x) {
        for (int i = 0; i < 16; ++i) {
          auto made = n.alloc<float>({large}), more = n.alloc<float>({large});
          n.submit("set", out(made), scalar(1.0f + static_cast<float>(i)));
          n.submit("add", in(made), in(made), out(more));
          n.submit_sub(sum, in(more), inout(x));
        }
      };
      auto x = node.tensor<float>({size});
      const auto plan = node.record(program, x);
      CHECK(first_of(x) == 2 * 136);
      for (int round = 1; round < 4; ++round) node.run(plan, x);
      CHECK(first_of(x) == 4 * 2 * 136);
    }
  }
}

TEST_CASE("a plan has its steps in the order of its program") {
  Simulation sim({.chips = 2, .soft_limit = 4});
  auto& node = with_kernels(sim).node();
  const auto program = [](Orchestrator& n, Tensor x) {
    for (std::uint32_t i = 0; i < size; ++i) {
      auto made = n.alloc<float>({large}), more = n.alloc<float>({large});
      n.submit("set", out(made), scalar(static_cast<float>(i)));
      n.submit("add", in(made), in(made), out(more));
      n.submit("add", in(more.rows(0, 1)), in(more.rows(0, 1)), out(x.rows(i, i + 1)));
    }
  };
  auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
  const auto plan = node.record(program, x);
  node.run(plan, y);
  for (std::uint32_t i = 0; i < size; ++i) CHECK(y.host<const float>()[i] == 4 * static_cast<float>(i));
}

TEST_CASE("parameters that share bytes stay what they are to each task") {
  const auto set = [](Orchestrator& n, Tensor part, Tensor all, Tensor y) {
    n.submit("set", out(part), scalar(100.0f), on_chip(0));
    n.submit("add", in(all), in(all), out(y), on_chip(0));
  };
  for (const bool plans : {false, true}) {
    Simulation sim({.chips = 2});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 7), y = node.tensor<float>({size});
    auto there = node.chip(1).malloc<float>({size});
    node.run([](Orchestrator& n, Tensor d) { n.submit("set", out(d), scalar(7.0f)); }, there);
    if (plans) {
      node.run(node.record(set, x.rows(0, 1), x, y), there.rows(0, 1), there, y);
    } else {
      node.run(set, there.rows(0, 1), there, y);
    }
    CHECK(first_of(y) == 200);
    CHECK(y.host<const float>()[1] == 14);
  }
}

TEST_CASE("a step that reads and writes the same bytes as different parameters is not tried again") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 7), y = node.tensor<float>({size}), z = node.tensor<float>({size});
  const auto plan = node.record(
      [](Orchestrator& n, Tensor part, Tensor all, Tensor b, Tensor c) {
        n.submit("add", in(all), in(all), out(b));
        const auto changed = n.submit("set", out(part), scalar(100.0f));
        n.submit("set", out(c), scalar(1.0f), after(changed));
      },
      x.rows(0, 1), x, y, z);
  auto x2 = node.tensor<float>({size}, 7);
  sim.fault(testing::fail("set").at(2));
  const auto error = error_of(
      [&] { node.run([&](Orchestrator& n) { n.submit(plan, x2.rows(0, 1), x2, y, z, retry(2)); }); });
  // Refused, or right.
  if (!error) CHECK(first_of(y) == 14);
}

TEST_CASE("what keeps an argument of a plan is kept until the run that uses it has ended") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto acc = node.tensor<float>({size});
  const auto program = [](Orchestrator& n, Tensor x, Tensor to) { n.submit("add", in(x), in(to), out(to)); };
  Kept recorded, given, looked_at;
  const auto check = [&](const std::weak_ptr<void>& hold) {
    return [&hold](HostArgs&) { CHECK_FALSE(hold.expired()); };
  };
  std::optional<Plan> plan;
  node.run([&](Orchestrator& n) {
    plan = n.record(program, recorded.tensor(), acc);
    n.submit_sub(check(recorded.alive), in(acc));
    n.submit(*plan, given.tensor(), acc);
    n.submit_sub(check(given.alive), in(acc));
    auto read = n.read_all<float>(looked_at.tensor());
    (void)read.get();
    CHECK_FALSE(looked_at.alive.expired());
  });
  CHECK(recorded.alive.expired());
  CHECK(given.alive.expired());
  CHECK(looked_at.alive.expired());
}

TEST_CASE("a plan keeps nothing of the tensors that it was recorded with") {
  Simulation sim({.chips = 2});
  auto& node = with_kernels(sim).node();
  std::vector<float> memory(3 * size);
  const auto program = [](Orchestrator& n, Tensor x) { n.submit("scale", inout(x), scalar(2.0f)); };
  const auto plan = node.record(program, Tensor::borrow(memory.data(), {2 * size}));
  // It is the user's own, and may be another tensor by now.
  node.run(program, Tensor::borrow(memory.data() + size, {2 * size}));
  std::weak_ptr<actors::BufferHold> kept;
  const auto other = [&] {
    auto x = node.tensor<float>({size});
    kept = x.hold();
    return node.record(program, std::move(x));
  }();
  CHECK(kept.expired());
}

TEST_CASE("a replay that is refused has submitted nothing") {
  Simulation sim({.chips = 2});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 1), y = node.tensor<float>({size}, 1);
  const auto plan = node.record(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.submit("set", out(a), scalar(5.0f), on_chip(0));
        n.submit("scale", inout(b), scalar(2.0f), on_chip(1));
      },
      x, y);
  auto z = node.tensor<float>({size}, 1);
  const auto refused = [&](auto... options) {
    std::optional<Error> error;
    node.run([&](Orchestrator& n) { error = error_of([&] { n.submit(plan, z, y, options...); }); });
    REQUIRE(error.has_value());
    CHECK(first_of(z) == 1);
    return *error;
  };
  CHECK(refused(retry(1)) == Errc::retry_refused);
  node.remove_executor(1);
  CHECK(refused() == Errc::chip_retired);
}

TEST_CASE("an argument without an order is not copied to another chip") {
  Simulation sim({.chips = 2});
  auto& node = with_kernels(sim).node();
  auto there = node.chip(1).malloc<float>({size});
  const auto on = [&](int chip) {
    return error_of([&] {
      node.run([&](Orchestrator& n) { n.submit("set", no_dep(there), scalar(1.0f), on_chip(chip)); });
    });
  };
  CHECK_FALSE(on(1).has_value());
  const auto error = on(0);
  REQUIRE(error.has_value());
  CHECK(error->message().find("lies on chip 1") != std::string::npos);
}
