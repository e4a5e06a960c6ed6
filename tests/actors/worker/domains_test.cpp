// Which communication domains a worker has, whose they are, and who waits for one.
#include "worker/domains.hpp"

#include <doctest/doctest.h>

#include "troupe/actors/errc.hpp"

using namespace troupe::actors;

namespace {

using Numbers = std::vector<std::uint64_t>;

struct Bench {
  Children children{"node0", {}};
  Domains domains;
  explicit Bench(int chips = 3) {
    for (int i = 0; i < chips; ++i) {
      children.add(ChipConfig{});
      children.up(i, 1);
    }
  }
  std::uint64_t add(RunId run) {
    const auto number = domains.next_number();
    domains.add(number, Communicator(), run);
    return number;
  }
  troupe::Result<Domains::Plan> plan(std::vector<int> chips) {
    return Domains::plan({.chips = std::move(chips), .buffers = {{"part", 64}}}, children, 2);
  }
};

}  // namespace

TEST_CASE("the members of a domain are its chips, by rank, in their present life") {
  Bench bench;
  bench.children.reset(2);
  bench.children.up(2, 1);
  const auto plan = bench.plan({2, 0});
  REQUIRE(plan);
  CHECK_FALSE(plan->coming);
  REQUIRE(plan->members.size() == 2);
  CHECK(plan->members[0].chip == 2);
  CHECK(plan->members[0].incarnation == 1);
  CHECK(plan->members[0].arena == device_arena(2, 2));
  CHECK(plan->members[1].name == "chip0");
  CHECK(plan->layout.buffers.count("part") == 1);
  CHECK(plan->window_bytes >= 64);
}

TEST_CASE("a domain that can never be is refused") {
  Bench bench;
  CHECK(bench.plan({}).error() == Errc::bad_argument);
  CHECK(bench.plan({1, 1}).error().message() == "a chip is named twice in one domain");
  CHECK(bench.plan({0, 3}).error() == Errc::no_such_chip);
  bench.children.retire(1);
  CHECK(bench.plan({0, 1}).error() == Errc::chip_lost);
  CHECK(bench.plan({0, 1}).error().message() == "chip1 is retired");
}

TEST_CASE("a domain waits for a chip that is coming back") {
  Bench bench;
  bench.children.reset(1);
  CHECK(bench.plan({0, 1}).value().coming);
  bench.domains.wait({AllocateDomain{9, {.chips = {0, 1}}}, {}});
  const auto waiting = bench.domains.take_waiting();
  REQUIRE(waiting.size() == 1);
  CHECK(waiting[0].order.run == 9);
  CHECK(bench.domains.take_waiting().empty());
  bench.children.up(1, 1);
  CHECK_FALSE(bench.plan({0, 1}).value().coming);
}

TEST_CASE("no number is a domain's twice") {
  Bench bench;
  const auto first = bench.add(1);
  CHECK(bench.domains.find(first) != nullptr);
  bench.domains.forget(first);
  CHECK(bench.domains.find(first) == nullptr);
  CHECK(bench.add(1) == first + 1);
}

TEST_CASE("a run that ends leaves the domains that it did not release, and every barrier it was at") {
  Bench bench;
  const auto own = bench.add(1), released = bench.add(1), other = bench.add(2);
  const auto configured = bench.add(Domains::configured), gone = bench.add(2);
  bench.domains.released(released);
  bench.domains.met(own, 1);
  bench.domains.met(configured, 1);
  bench.domains.met(configured, 1);
  bench.domains.met(gone, 1);
  bench.domains.met(other, 2);
  bench.domains.forget(gone);
  const auto leaving = bench.domains.run_ended(1);
  CHECK(leaving.withdraw == Numbers{own, configured});
  CHECK(leaving.release == Numbers{own});
  // It says so once.
  CHECK(bench.domains.run_ended(1).withdraw.empty());
  CHECK(bench.domains.run_ended(2).withdraw == Numbers{other});
}
