// Random programs whose tensors go from chip to chip while chips are killed, die and are reset, in any order
// of events: none is torn, what a run that ended well has left is right, or said to be lost.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "actors/placement/any_policy.hpp"
#include "support/error_of.hpp"
#include "support/random.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

using Number = std::uint32_t;

void add_kernels(Simulation& sim) {
  sim.kernel("scale", [](auto& call) {
    for (auto& element : call.template tensor<Number>(0)) element = element * 3 + 1;
  });
  sim.kernel("fold", [](auto& call) {
    const auto from = call.template tensor<Number>(0), to = call.template tensor<Number>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = to[i] * 5 + from[i];
  });
  sim.kernel("make", [](auto& call) {
    const auto from = call.template tensor<Number>(0), to = call.template tensor<Number>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] + 7;
  });
}

struct Operation {
  int kind = 0;  ///< scale, fold, make, make with retry, function
  std::size_t from = 0, to = 0;
  int chip = -1;

  std::string text() const {
    constexpr const char* names[] = {"scale", "fold", "make", "make again", "function"};
    return std::string(names[kind]) + " " + std::to_string(from) + " -> " + std::to_string(to) + " on " +
           std::to_string(chip) + "\n";
  }
  Number result(const std::vector<Number>& all) const {
    const auto there = all[to], here = all[from];
    if (kind == 0 || kind == 4) return there * 3 + 1;
    return kind == 1 ? there * 5 + here : here + 7;
  }
  void submit(Orchestrator& n, const std::vector<Tensor>& all) const {
    const auto task = [&](const char* name, auto... uses) {
      chip < 0 ? n.submit(name, uses...) : n.submit(name, uses..., on_chip(chip));
    };
    switch (kind) {
      case 0:
        return task("scale", inout(all[to]));
      case 1:
        return task("fold", in(all[from]), inout(all[to]));
      case 2:
        return task("make", in(all[from]), out(all[to]));
      case 3:
        return task("make", in(all[from]), out(all[to]), retry(20));
      default:
        n.submit_sub(
            [](HostArgs& args) {
              for (auto& element : args.tensor<Number>(0)) element = element * 3 + 1;
            },
            inout(all[to]));
    }
  }
};

void random_program(std::uint64_t seed, std::uint64_t elements) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto chips = 2 + below(3);
  Simulation sim({.seed = seed + 1,
                  .chips = static_cast<actors::Count>(chips),
                  .restart = {1000, std::chrono::hours(1)},
                  .placement = test::any_policy(seed)});
  add_kernels(sim);
  auto& node = sim.node();
  std::vector<Tensor> all;
  std::vector<Number> now;
  for (Number i = 0; i < 4; ++i) {
    now.push_back(i + 1);
    all.push_back(node.tensor<Number>({elements}, now[i]));
  }
  std::string text;
  std::vector<Operation> operations;
  for (auto count = 5 + below(30); count > 0; --count) {
    Operation made{static_cast<int>(below(below(4) == 0 ? 5 : 4)), below(4), below(4),
                   static_cast<int>(below(chips + 1)) - 1};
    if (made.from == made.to) made.kind = 0;
    now[made.to] = made.result(now);
    text += made.text();
    operations.push_back(made);
  }
  CAPTURE(text);
  std::uint64_t deaths = below(3);
  for (auto left = deaths; left > 0; --left)
    sim.fault(testing::kill_chip(static_cast<int>(below(chips))).at(1 + below(12)));
  const auto handle = node.submit([&](Orchestrator& n) {
    for (const auto& what : operations) what.submit(n, all);
  });
  bool ends = deaths > 0;
  for (auto events = below(5); events > 0; --events) {
    ends = true;
    (void)sim.steps(below(120));
    const auto chip = static_cast<int>(below(chips));
    const auto failed = error_of([&] { below(3) == 0 ? node.chip(chip).reset() : sim.kill(chip); });
    if (failed) CHECK((*failed == Errc::chip_lost || *failed == Errc::data_lost));
  }
  const auto result = handle.result();
  INFO(sim.replay());
  if (!result) INFO(render(result.error()));
  CHECK((result || ends));
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    std::vector<Number> seen;
    const auto lost = error_of([&] {
      const auto view = all[i].host<const Number>();
      seen = {view[0], view[elements / 2], view[elements - 1]};
    });
    if (lost) {
      CHECK(ends);
      continue;
    }
    CHECK(seen[1] == seen[0]);
    CHECK(seen[2] == seen[0]);
    if (result) CHECK(seen[0] == now[i]);
  }
}

}  // namespace

TEST_CASE("tensors of random programs are right, or said to be lost, while chips die and are reset") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(400); ++seed) {
    CAPTURE(seed);
    random_program(seed, 3);
  }
}

TEST_CASE("the same with tensors that a thread copies") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(20); ++seed) {
    CAPTURE(seed);
    random_program(seed, 140'000);
  }
}
