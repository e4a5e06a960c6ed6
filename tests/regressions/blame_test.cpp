// One rank did not come (its process was stopped). The others gave up one after the other, and each error
// named whoever had given up just before, a rank that lived: "rank 1 left the domain", "rank 1 gave up". And
// after a deadline `destroy` waited for the same rank as long again. Now an error names the rank that did not
// come, and who gave up because of that; who was waited for in vain is not waited for again.
#include <doctest/doctest.h>

#include <array>
#include <latch>

#include "comm/windows/fake_environment.hpp"
#include "comm/windows/ranks.hpp"
#include "troupe/comm/collectives.hpp"

namespace {

using namespace troupe;
using namespace troupe::comm;
using namespace troupe::comm::test;

bool has(const Error& error, std::string_view part) {
  return error.message().find(part) != std::string::npos;
}

TEST_CASE("ranks that give up at a barrier one after the other all name the one that never came") {
  FakeEnvironment machine;
  auto members = make_domain(4, 64, 1, machine);
  const auto first = members[1].barrier(machine.clock);
  REQUIRE_FALSE(first);
  CHECK(has(first.error(), "rank 0, 2 and 3 did not come to the barrier in time"));
  const auto second = members[2].barrier(machine.clock);
  REQUIRE_FALSE(second);
  CHECK(has(second.error(), "rank 0 and 3 did not come to the barrier in time, and rank 1 gave up waiting"));
  const auto third = members[3].barrier(machine.clock);
  REQUIRE_FALSE(third);
  CHECK(has(third.error(), "rank 0 did not come to the barrier in time, and rank 1 and 2 gave up waiting"));
  members[1].release();
  // Those that had come by then, if too late for rank 1, are not to blame.
  for (const std::size_t rank : {2U, 3U}) {
    const auto over = members[rank].check();
    REQUIRE_FALSE(over);
    CHECK(over.error() == comm::Errc::peer_lost);
    CHECK(over.error().message() == "rank 0 did not come in time, after which rank 1 left the domain");
  }
}

TEST_CASE("a rank that met the others after all has nobody to blame when it leaves") {
  FakeEnvironment machine;
  auto members = make_domain(2, 64, 1, machine);
  REQUIRE_FALSE(members[0].barrier(machine.clock));
  CHECK(members[0].waited_in_vain() == 2);
  members[1].arrive().value();
  REQUIRE(members[0].barrier(machine.clock));
  CHECK(members[0].waited_in_vain() == 0);
  members[0].release();
  CHECK(members[1].check().error().message() == "rank 0 left the domain");
}

/// A domain with collectives on a machine whose time passes when somebody parks.
struct World {
  explicit World(std::uint32_t ranks)
      : members(make_domain(ranks, CollectiveWorkspace::comfortable + 4096, 1, machine)) {
    for (DomainMember& member : members) {
      member.set_wait_policy({.spins = 1, .yields = 0});
      all.push_back(Collectives::over(member, {.offset = 0, .bytes = CollectiveWorkspace::comfortable},
                                      {.timeout = std::chrono::seconds(10)})
                        .value());
    }
  }
  Result<void> reduce(std::uint32_t rank) {
    auto* data =
        reinterpret_cast<float*>(members[rank].window(rank).data() + CollectiveWorkspace::comfortable);
    return all[rank].all_reduce(std::span(data, 16), ReduceOp::sum, AllReduceAlgorithm::ring);
  }
  FakeEnvironment machine;
  std::vector<DomainMember> members;
  std::vector<Collectives> all;
};

TEST_CASE("in a ring that waits for one rank, all name that one, whoever's patience ends first") {
  for (const auto order : {std::array<std::uint32_t, 3>{1, 2, 3}, {3, 2, 1}, {1, 3, 2}}) {
    CAPTURE(order[0]);
    CAPTURE(order[1]);
    World world(4);
    std::optional<Error> errors[4];
    // Each waits inside the other, so that all are there when time is up; rank 0 never comes. (Not every
    // order will do: one whose turn comes while an inner one waits cannot go on here, and is late itself.)
    std::size_t inside = 0;
    std::function<void(Deadline)> next = [&](Deadline) {
      if (inside == order.size()) {
        world.machine.clock += std::chrono::seconds(20);
        return;
      }
      const auto rank = order[inside++];
      const auto made = world.reduce(rank);
      REQUIRE_FALSE(made);
      errors[rank] = made.error();
    };
    world.machine.on_park = next;
    next(never);
    for (const std::uint32_t rank : {1U, 2U, 3U}) {
      REQUIRE(errors[rank]);
      CHECK(*errors[rank] == comm::Errc::deadline);
      CHECK_MESSAGE(has(*errors[rank], "all_reduce: rank 0 did not come "), errors[rank]->message());
      CHECK(world.members[rank].waited_in_vain() == 1);
    }
    world.members[2].release();
    CHECK(has(world.members[1].check().error(), "rank 0 did not come in time, after which rank 2 left"));
  }
}

TEST_CASE("destroy does not wait for whom a deadline was spent on") {
  const NoLeaks leaks;
  const std::string name = meeting("destroy-once");
  std::latch given_up(1);
  std::thread absent([&] {
    auto comm = Communicator::init(1, 2, name, patient()).value();
    comm.alloc_windows(64).value();
    given_up.wait();
    CHECK(comm.barrier().error() == comm::Errc::peer_lost);
  });
  FakeEnvironment machine;
  machine.clock = Environment::machine().now();
  machine.on_park = [&](Deadline until) { machine.clock = until; };
  {
    auto comm = Communicator::init(0, 2, name, patient(), machine).value();
    comm.alloc_windows(64).value();
    const auto late = comm.barrier();
    REQUIRE_FALSE(late);
    CHECK(late.error() == comm::Errc::deadline);
    const int parks = machine.parks;
    const auto over = comm.destroy();
    REQUIRE_FALSE(over);
    CHECK(over.error() == comm::Errc::deadline);
    CHECK(has(over.error(), "rank 1"));
    CHECK(machine.parks == parks);
  }
  given_up.count_down();
  absent.join();
}

}  // namespace
