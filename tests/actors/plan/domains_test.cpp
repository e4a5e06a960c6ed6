// Plans whose tasks communicate: a domain that the recorded program forms, or knows, is kept by the plan.
#include <doctest/doctest.h>

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/collective_golden.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using runtime::DType;
using test::error_of;
using testing::Simulation;

namespace {

constexpr std::uint32_t size = 8;

DomainSpec both() {
  DomainSpec spec;
  spec.chips = {0, 1};
  spec.buffers = {{"count", size * sizeof(float)}};
  return spec;
}

/// Each rank counts in its window, and tells what it has counted to.
void count(Orchestrator& n, const Domain& domain, Tensor x, Tensor y, Slot<float> by) {
  const std::vector<Tensor> told{std::move(x), std::move(y)};
  n.submit_group("count", domain.each([&](auto& rank) {
    return args(inout(rank.template buffer<float>("count")),
                out(told[static_cast<std::size_t>(rank.index())]), scalar(by), rank.context());
  }));
}

Simulation& with_count(Simulation& sim) {
  sim.kernel("count", [](auto& call) {
    auto counted = call.template tensor<float>(0), told = call.template tensor<float>(1);
    for (std::size_t i = 0; i < told.size(); ++i)
      told[i] = counted[i] += call.template scalar<float>(0) + static_cast<float>(call.device());
  });
  sim.kernel("clear", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element = 0;
  });
  return sim;
}

std::uint64_t windows_of(const Node& node) {
  std::uint64_t windows = 0;
  for (const auto& child : node.status().children) windows += child.windows;
  return windows;
}
void settle(Simulation& sim) {
  while (sim.steps(1000) > 0) {
  }
}

/// Forms a domain of its own.
void form_and_count(Orchestrator& n, Tensor x, Tensor y, Slot<float> by) {
  const auto domain = n.allocate_domain(both()).get();
  for (int i = 0; i < 2; ++i) {
    n.submit("clear", out(domain.rank(i).buffer<float>("count")), on_chip(i));
  }
  count(n, domain, x, y, by);
  count(n, domain, x, y, by);
}

Program form_and_count_by_awaiting(Orchestrator& n, Tensor x, Tensor y, Slot<float> by) {
  const auto domain = co_await n.allocate_domain(both());
  for (int i = 0; i < 2; ++i) {
    n.submit("clear", out(domain.rank(i).buffer<float>("count")), on_chip(i));
  }
  count(n, domain, x, y, by);
  count(n, domain, x, y, by);
}

}  // namespace

TEST_CASE("a program that forms a domain can be recorded, and its plan keeps the windows until it goes") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    for (const bool awaits : {false, true}) {
      Simulation sim({.seed = seed, .chips = 2});
      auto& node = with_count(sim).node();
      auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
      auto plan = awaits ? node.record(form_and_count_by_awaiting, x, y, 1.0f)
                         : node.record(form_and_count, x, y, 1.0f);
      settle(sim);
      CHECK(x.host<const float>()[0] == 2);
      CHECK(y.host<const float>()[0] == 4);
      CHECK(windows_of(node) == 2);  // though its program and its run have ended
      CAPTURE(plan.describe());
      CHECK(plan.describe().find("keeps 1 communication domain") != std::string::npos);
      for (int round = 0; round < 3; ++round) {
        auto x2 = node.tensor<float>({size}), y2 = node.tensor<float>({size});
        node.run(plan, x2, y2, 10.0f);
        CHECK(x2.host<const float>()[size - 1] == 20);
        CHECK(y2.host<const float>()[size - 1] == 22);
      }
      auto last = node.submit(plan, x, y, 5.0f);
      plan = {};
      last.get();
      CHECK(x.host<const float>()[0] == 10);
      settle(sim);
      CHECK(windows_of(node) == 0);
    }
  }
}

TEST_CASE("a plan keeps a domain that its program let go of while it was recorded") {
  Simulation sim({.chips = 2});
  auto& node = with_count(sim).node();
  auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
  std::optional<Plan> plan = node.record(
      [](Orchestrator& n, Tensor a, Tensor b) {
        for (const auto& told : {a, b}) {  // and while the second is formed, the first could go
          const auto window = n.allocate_domain(both()).get().rank(1).buffer<float>("count");
          n.submit("clear", out(window), on_chip(1));
          n.submit("count", inout(window), out(told), scalar(2.0f), on_chip(1));
        }
      },
      x, y);
  settle(sim);
  CHECK(windows_of(node) == 4);
  auto x2 = node.tensor<float>({size}), y2 = node.tensor<float>({size});
  node.run(*plan, x2, y2);
  CHECK(x2.host<const float>()[0] == 3);
  CHECK(y2.host<const float>()[0] == 3);
  plan.reset();
  settle(sim);
  CHECK(windows_of(node) == 0);
  const auto fails = [](Orchestrator& n) {
    n.allocate_domain(both()).get();
    throw Error(Errc::bad_argument, "enough");
  };
  CHECK(error_of([&] { node.record(fails); }) == Errc::bad_argument);
  settle(sim);
  CHECK(windows_of(node) == 0);
}

TEST_CASE("a plan of a program that knows a domain counts on in its windows, in the order of its replays") {
  Simulation sim({.seed = 3, .chips = 2});
  auto& node = with_count(sim).node();
  auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
  std::optional<Plan> plan;
  node.run([&](Orchestrator& n) {
    const auto domain = n.allocate_domain(both()).get();
    for (int i = 0; i < 2; ++i) n.submit("clear", out(domain.rank(i).buffer<float>("count")), on_chip(i));
    plan = n.record([&](Orchestrator& m, Tensor a, Tensor b, Slot<float> by) { count(m, domain, a, b, by); },
                    x, y, 1.0f);
    for (int i = 0; i < 4; ++i) n.submit(*plan, x, y, 1.0f);
    // What the program does itself in the windows comes in its turn.
    n.submit("clear", out(domain.rank(0).buffer<float>("count")), on_chip(0));
    n.submit(*plan, x, y, 2.0f);
  });
  CHECK(x.host<const float>()[0] == 2);
  CHECK(y.host<const float>()[0] == 5 * 2 + 3);
  node.run(*plan, x, y, 1.0f);
  CHECK(x.host<const float>()[0] == 3);
  CHECK(y.host<const float>()[0] == 15);
  const test::TemporaryFolder folder;
  const auto refused = error_of([&] { plan->save((folder.path() / "it.tplan").string()); });
  REQUIRE(refused);
  CHECK(*refused == Errc::bad_argument);
}

TEST_CASE("a replay in a domain whose member has died is an error, and nothing of another life is touched") {
  Simulation sim({.chips = 2});
  auto& node = with_count(sim).node();
  auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
  const auto plan = node.record(form_and_count, x, y, 1.0f);
  sim.kill(1);
  settle(sim);
  const auto error = error_of([&] { node.run(plan, x, y, 1.0f); });
  REQUIRE(error);
  CAPTURE(render(*error));
  CHECK((*error == Errc::data_lost || *error == Errc::chip_lost || *error == Errc::task_failed ||
         *error == comm::Errc::peer_lost));
  const auto again = node.record(form_and_count, x, y, 1.0f);
  node.run(again, x, y, 3.0f);
  CHECK(x.host<const float>()[0] == 6);
}

TEST_CASE("a recorded all_reduce gives the golden bits with each replay's tensors") {
  constexpr std::uint32_t ranks = 3;
  constexpr std::size_t elements = 5003;
  System system;
  NodeConfig config;
  config.platform = "a2a3sim";
  config.chips = static_cast<int>(ranks);
  auto node = system.node(config);
  node.load(collectives());
  const auto reduce = [](Orchestrator& n, Tensor a, Tensor b, Tensor c, Tensor sum_a, Tensor sum_b,
                         Tensor sum_c) {
    DomainSpec spec;
    spec.chips = {0, 1, 2};
    spec.buffers = {{"workspace", comm::CollectiveWorkspace::signals + 16384}};
    const auto domain = n.allocate_domain(spec).get();
    const std::vector<Tensor> from{a, b, c}, to{sum_a, sum_b, sum_c};
    n.submit_group("all_reduce", domain.each([&](auto& rank) {
      const auto mine = static_cast<std::size_t>(rank.index());
      return args(in(from[mine]), out(to[mine]), inout(rank.buffer("workspace")), rank.context());
    }));
  };
  std::optional<Plan> plan;
  for (std::uint64_t round = 0; round < 4; ++round) {
    std::vector<Tensor> from, to;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      from.push_back(node.tensor<float>({elements}));
      to.push_back(node.tensor<float>({elements}));
      const auto bytes = comm::test::input(round, rank, elements, DType::f32);
      std::memcpy(from.back().host<float>().data(), bytes.data(), bytes.size());
    }
    if (!plan) {
      plan = node.record(reduce, from[0], from[1], from[2], to[0], to[1], to[2]);
    } else {
      node.run(*plan, from[0], from[1], from[2], to[0], to[1], to[2]);
    }
    const auto expected =
        comm::test::reduced_in_order(round, ranks, elements, DType::f32, comm::ReduceOp::sum);
    for (const auto& got : to)
      CHECK(std::memcmp(got.host<const float>().data(), expected.data(), expected.size()) == 0);
  }
}
