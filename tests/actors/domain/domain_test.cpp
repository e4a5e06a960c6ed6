// Domains under death: waits end with peer_lost, windows go once, nobody is forgotten.
#include <doctest/doctest.h>

#include <optional>

#include <random>

#include "support/random.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using testing::Simulation;

namespace {

void add_kernels(Simulation& sim) {
  sim.kernel("look", [](auto&) {});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  sim.kernel("slow", [](auto& call) { call.takes(1'000'000); });
}

template <class... Chips>
DomainSpec spec_of(Chips... members) {
  DomainSpec spec;
  spec.chips = chips(members...);
  spec.buffers = {{"scratch", 4096}};
  return spec;
}

auto in_domain(const Domain& domain) {
  return domain.each([](auto& rank) { return args(inout(rank.buffer("scratch")), rank.context()); });
}

void settle(Simulation& sim) {
  while (sim.steps(1000) > 0) {
  }
}

/// Windows that the chips of a node have.
std::uint64_t windows_of(const Node& node) {
  std::uint64_t windows = 0;
  for (const auto& child : node.status().children) windows += child.windows;
  return windows;
}

}  // namespace

TEST_CASE("a member's death ends what waits for it in kernels, and the run says whose death it was") {
  Simulation sim({.chips = 3});
  add_kernels(sim);
  auto& node = sim.node();
  const auto before = sim.actors();
  auto handle = node.submit([](Orchestrator& n) -> Program {
    auto domain = co_await n.allocate_domain(spec_of(0, 1, 2));
    n.submit_group("wait", in_domain(domain));
    co_await n.drained();
  });
  settle(sim);
  REQUIRE_FALSE(handle.done());
  sim.kill(1);
  settle(sim);
  REQUIRE(handle.done());
  const auto ended = handle.result();
  REQUIRE_FALSE(ended);
  CHECK((ended.error() == Errc::chip_lost || ended.error().root() == comm::Errc::peer_lost));
  CHECK(sim.actors() == before);
  CHECK(windows_of(node) == 0);
  // The survivors and the successor form another one.
  node.run([](Orchestrator& n) {
    auto domain = n.allocate_domain(spec_of(0, 1, 2)).get();
    n.submit_group("look", in_domain(domain));
  });
}

TEST_CASE("a program may catch the loss of a peer and form another domain") {
  Simulation sim({.chips = 3});
  add_kernels(sim);
  sim.fault(testing::kill_chip(2).of("look"));
  auto& node = sim.node();
  int attempts = 0;
  node.run([&attempts](Orchestrator& n) -> Program {
    for (bool good = false; !good;) {
      ++attempts;
      auto domain = co_await n.allocate_domain(spec_of(0, 2));
      auto all = n.submit_group("look", in_domain(domain));
      try {
        co_await all;
        good = true;
      } catch (const Error&) {
        if (attempts > 3) throw;
      }
    }
  });
  CHECK(attempts == 2);
}

TEST_CASE("a member that is reset counts as dead for its domain") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  auto& node = sim.node();
  auto handle = node.submit([](Orchestrator& n) -> Program {
    auto domain = co_await n.allocate_domain(spec_of(0, 1));
    n.submit_group("wait", in_domain(domain));
    co_await n.drained();
  });
  settle(sim);
  REQUIRE_FALSE(handle.done());
  node.chip(0).reset();
  settle(sim);
  CHECK(handle.done());
  CHECK(windows_of(node) == 0);
}

TEST_CASE("domains that a program forgets go with its run, others with their last task") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  auto& node = sim.node();
  const auto before = sim.actors();
  std::optional<Domain> forgotten;
  node.run([&sim, &node, &forgotten](Orchestrator& n) {
    forgotten = n.allocate_domain(spec_of(0, 1)).get();
    {
      auto scoped = n.allocate_domain(spec_of(1)).get();
      n.submit_group("slow", in_domain(scoped));
      n.flush();
      CHECK(windows_of(node) == 3);
    }
    // Out of scope, and its task is still running.
    CHECK(windows_of(node) == 3);
    n.drain();
    settle(sim);
    CHECK(windows_of(node) == 2);
    n.submit_group("look", in_domain(*forgotten));
  });
  settle(sim);
  CHECK(sim.actors() == before);
  CHECK(windows_of(node) == 0);
  forgotten.reset();  // means nothing any more, and hurts nobody
  settle(sim);
}

TEST_CASE("a window that a run still uses is released when the run has ended") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  auto& node = sim.node();
  auto handle = node.submit([](Orchestrator& n) -> Program {
    auto domain = co_await n.allocate_domain(spec_of(0));
    // Names the window's memory, not the domain: nothing holds the domain until the task is done.
    n.submit("slow", in(domain.rank(0).buffer("scratch")), on_chip(0));
    n.flush();
  });
  settle(sim);
  CHECK(handle.result());
  sim.advance(10ms);
  CHECK(windows_of(node) == 0);
}

TEST_CASE("a member that dies while the domain forms fails the request, and nothing is left") {
  for (std::size_t moment = 0; moment < 60; ++moment) {
    CAPTURE(moment);
    Simulation sim({.seed = moment + 1, .chips = 3});
    add_kernels(sim);
    auto& node = sim.node();
    const auto before = sim.actors();
    auto handle = node.submit([](Orchestrator& n) -> Program {
      auto domain = co_await n.allocate_domain(spec_of(0, 1, 2));
      n.submit_group("look", in_domain(domain));
    });
    sim.steps(moment);
    sim.kill(1);
    settle(sim);
    REQUIRE(handle.done());
    CHECK(sim.actors() == before);
    CHECK(windows_of(node) == 0);
  }
}

namespace {

/// Programs that share the domain of the configuration, one for each rank.
testing::SimulationOptions pair_of_ranks(std::uint64_t seed) {
  testing::SimulationOptions options{.seed = seed, .chips = 2};
  for (int rank = 0; rank < 2; ++rank) {
    comm::ChipBootstrapConfig chip;
    chip.comm = comm::ChipCommBootstrapConfig{rank, 2, "pair", 4096};
    chip.buffers = {{.name = "scratch", .dtype = "float32", .count = 16, .nbytes = 64}};
    options.chip_bootstrap_configs.push_back(chip);
  }
  return options;
}

Program speaks_for(Orchestrator& n, int rank, int rounds, std::string* log) {
  auto pair = n.configured_domain();
  for (int i = 0; i < rounds; ++i) {
    co_await n.submit("look", inout(pair.rank(rank).buffer("scratch")), on_chip(rank));
    *log += static_cast<char>('0' + i);
    co_await n.barrier(pair, rank);
  }
}

}  // namespace

TEST_CASE("programs that share a domain go on from its barrier together") {
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(50); ++seed) {
    CAPTURE(seed);
    Simulation sim(pair_of_ranks(seed));
    add_kernels(sim);
    auto& node = sim.node();
    std::string log;
    auto zero = node.submit([&](Orchestrator& n) { return speaks_for(n, 0, 3, &log); });
    auto one = node.submit([&](Orchestrator& n) { return speaks_for(n, 1, 3, &log); });
    zero.get();
    one.get();
    CHECK(log == "001122");
  }
}

TEST_CASE("a plain function waits at the barrier, too, a rank that is none is refused at once") {
  Simulation sim(pair_of_ranks(0));
  add_kernels(sim);
  auto& node = sim.node();
  std::string log;
  auto one = node.submit([&](Orchestrator& n) { return speaks_for(n, 1, 1, &log); });
  node.run([](Orchestrator& n) {
    auto pair = n.configured_domain();
    CHECK_THROWS_AS(n.barrier(pair, 2).wait(), Error);
    n.barrier(pair, 0).wait();
  });
  CHECK(one.result());
}

TEST_CASE("who waits at a barrier: says so, hears of a death, and has not arrived when its run is over") {
  Simulation sim(pair_of_ranks(0));
  add_kernels(sim);
  auto& node = sim.node();
  const auto before = sim.actors();
  std::string log;
  auto zero = node.submit([&](Orchestrator& n) { return speaks_for(n, 0, 1, &log); });
  settle(sim);
  CHECK(zero.why().find("waits at the barrier of domain") != std::string::npos);
  zero.cancel();
  CHECK(zero.result().error() == Errc::cancelled);
  // Had its arrival stayed, rank 1 would go on alone.
  auto one = node.submit([&](Orchestrator& n) { return speaks_for(n, 1, 1, &log); });
  settle(sim);
  CHECK_FALSE(one.done());
  sim.kill(0);
  settle(sim);
  REQUIRE(one.done());
  REQUIRE_FALSE(one.result());
  CHECK(one.result().error().root() == comm::Errc::peer_lost);
  // The communicator that was formed anew has a barrier of its own.
  auto again = node.submit([&](Orchestrator& n) { return speaks_for(n, 0, 1, &log); });
  node.run([&](Orchestrator& n) { return speaks_for(n, 1, 1, &log); });
  CHECK(again.result());
  settle(sim);
  CHECK(sim.actors() == before);
}

TEST_CASE("random domains under random kills and resets end, and leave no window and no actor") {
  const auto first = test::first_seed();
  const auto count = test::seeds(400);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint64_t>(n)); };
    Simulation sim({.seed = seed + 1, .chips = 3, .restart = {100, 1s}});
    add_kernels(sim);
    auto& node = sim.node();
    const auto before = sim.actors();
    const int rounds = 1 + below(4);
    const bool waits = below(3) == 0;
    auto program = [rounds, waits](Orchestrator& n) -> Program {
      for (int i = 0; i < rounds; ++i) {
        auto domain = co_await n.allocate_domain(spec_of(i % 3, (i + 1) % 3));
        n.submit_group(waits ? "wait" : "look", in_domain(domain));
        n.submit_group("look", in_domain(domain));
        if (i % 2 == 0) co_await n.drained();
      }
    };
    auto one = node.submit(program), other = node.submit(program);
    for (int blow = below(4); blow >= 0; --blow) {
      sim.steps(static_cast<std::size_t>(below(150)));
      const int chip = below(3);
      if (below(3) != 0) {
        sim.kill(chip);
      } else {
        try {
          node.chip(chip).reset();
        } catch (const Error& error) {
          CHECK(error == Errc::chip_lost);
        }
      }
    }
    settle(sim);
    if (waits) one.cancel(), other.cancel();
    settle(sim);
    REQUIRE(one.done());
    REQUIRE(other.done());
    sim.advance(1s);
    REQUIRE(sim.actors() == before);
    REQUIRE(windows_of(node) == 0);
  }
}
