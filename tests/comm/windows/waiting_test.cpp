// How waits behave, on a scripted machine: one thread plays all ranks, no clock runs.
#include "comm/windows/fake_environment.hpp"
#include "comm/windows/ranks.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;
using std::chrono::seconds;

struct Story {
  explicit Story(std::uint32_t ranks) : members(make_domain(ranks, 64, 1, machine)) {
    for (DomainMember& member : members) member.set_wait_policy({.spins = 3, .yields = 2});
  }
  FakeEnvironment machine;
  std::vector<DomainMember> members;
};

TEST_CASE("a barrier that is complete needs no yield, no park and no wake") {
  Story story(3);
  story.members[1].arrive().value();
  story.members[2].arrive().value();
  CHECK(story.members[0].barrier());
  CHECK(story.machine.yields == 0);
  CHECK(story.machine.parks == 0);
  CHECK(story.machine.wakes == 0);
}

TEST_CASE("a waiter yields a bounded number of times, then parks until the last rank wakes it") {
  Story story(2);
  int step = 0;
  story.machine.on_park = [&](Deadline until) {
    CHECK(until == never);
    if (++step == 3) story.members[1].arrive().value();  // two wake-ups for nothing before
  };
  CHECK(story.members[0].barrier());
  CHECK(story.machine.yields == 2);
  CHECK(story.machine.parks == 3);
  CHECK(story.machine.wakes == 1);
  // Nobody parks any more: the next completion makes no system call.
  story.members[0].arrive().value();
  story.members[1].arrive().value();
  CHECK(story.machine.wakes == 1);
}

TEST_CASE("the longer the processor is wanted by others, the more waits park without offering it") {
  Story story(2);
  int offers = 0;
  bool busy = true;
  story.machine.on_yield = [&] {
    ++offers;
    if (busy) story.machine.clock += std::chrono::milliseconds(3);  // somebody else's time slice
  };
  story.machine.on_park = [&](Deadline) { story.members[1].arrive().value(); };
  const auto barrier_with_late_peer = [&] { return story.members[0].barrier(); };
  CHECK(barrier_with_late_peer());
  CHECK(offers == 1);  // of two
  CHECK(story.machine.parks == 1);
  CHECK(barrier_with_late_peer());
  CHECK(offers == 1);
  // One disturbance costs one wait more: then it offers again.
  CHECK(barrier_with_late_peer());
  CHECK(offers == 2);
  // Here every offer is long: after the third, four waits park without one, and so on.
  for (int i = 3; i < 1000; ++i) REQUIRE(barrier_with_late_peer());
  CHECK(offers == 10);
  CHECK(story.machine.parks == 1000);
}

TEST_CASE("an arrival between the last look and parking is not slept through") {
  Story story(2);
  story.machine.on_yield = [&] {
    // The waiter has looked, not parked: the peer comes and sees nobody to wake.
    if (story.machine.yields == 2) story.members[1].arrive().value();
  };
  story.machine.on_park = [&](Deadline) { FAIL("parked although everybody is here"); };
  CHECK(story.members[0].barrier());
  CHECK(story.machine.wakes == 0);
}

TEST_CASE("the deadline is the clock's, lists the absent, and takes the arrival back") {
  Story story(4);
  const Deadline until = story.machine.clock + seconds(120);
  story.members[2].arrive().value();
  story.machine.on_park = [&](Deadline limit) {
    CHECK(limit == until);
    story.machine.clock += seconds(50);
  };
  const auto result = story.members[0].barrier(until);
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::deadline);
  CHECK(result.error().message() == "rank 1 and 3 did not come to the barrier in time");
  CHECK(story.machine.parks == 3);
  // Defect of the reference: the abandoned arrival made the next barrier open early. Here it does not.
  story.members[1].arrive().value();
  const auto last = story.members[3].arrive().value();
  CHECK_FALSE(story.members[3].test(last).value());
  CHECK(story.members[0].barrier(until));
  CHECK(story.members[3].test(last).value());
}

TEST_CASE("a rank that comes while another gives up counts for both") {
  Story story(2);
  const Deadline until = story.machine.clock + seconds(1);
  story.machine.on_park = [&](Deadline) {
    story.machine.clock = until;
    story.members[1].arrive().value();
  };
  CHECK(story.members[0].barrier(until));
}

TEST_CASE("a death or an abort wakes who is parked, in the barrier and at a signal") {
  Story story(3);
  SUBCASE("barrier, death") {
    story.machine.on_park = [&](Deadline) { story.members[1].mark_lost(2); };
    CHECK(story.members[0].barrier().error() == Errc::peer_lost);
    CHECK(story.machine.wakes == 1);
  }
  SUBCASE("barrier, abort") {
    story.machine.on_park = [&](Deadline) { story.members[1].abort(); };
    CHECK(story.members[0].barrier().error() == Errc::aborted);
  }
  SUBCASE("barrier, a rank leaves") {
    story.machine.on_park = [&](Deadline) { story.members[1].release(); };
    CHECK(story.members[0].barrier().error() == Errc::peer_lost);
  }
  SUBCASE("signal, death") {
    story.machine.on_park = [&](Deadline) { story.members[1].mark_lost(2); };
    CHECK(OneSided(story.members[0]).wait_until<std::uint64_t>(0, 0, Compare::not_equal, 0).error() ==
          Errc::peer_lost);
    CHECK(story.machine.wakes == 1);
  }
  SUBCASE("teardown, death") {
    story.machine.on_park = [&](Deadline) { story.members[1].mark_lost(2); };
    CHECK(story.members[0].wait_departed(never).error() == Errc::peer_lost);
  }
}

TEST_CASE("a barrier that completed before its rank died was completed") {
  Story story(2);
  story.machine.on_park = [&](Deadline) {
    story.members[1].arrive().value();
    story.members[0].mark_lost(1);
  };
  CHECK(story.members[0].barrier());
  CHECK(story.members[0].barrier().error() == Errc::peer_lost);
}

TEST_CASE("a notify wakes only who parks at that window") {
  Story story(3);
  const OneSided zero(story.members[0]), one(story.members[1]);
  int step = 0;
  story.machine.on_park = [&](Deadline) {
    if (++step == 1) {
      one.notify<std::int32_t>(2, 0, NotifyOp::set, 1).value();  // somebody else's window
      CHECK(story.machine.wakes == 0);
    } else if (step == 2) {
      one.notify<std::int32_t>(0, 0, NotifyOp::set, 1).value();  // this window, not enough
      CHECK(story.machine.wakes == 1);
    } else {
      one.notify<std::int32_t>(0, 0, NotifyOp::add, 4).value();
    }
  };
  CHECK(zero.wait_until<std::int32_t>(0, 0, Compare::greater_equal, 5));
  CHECK(story.machine.parks == 3);
  CHECK(story.machine.wakes == 2);
}

TEST_CASE("a teardown that is not joined in time names who did not come") {
  Story story(3);
  story.members[1].depart();
  story.machine.on_park = [&](Deadline) { story.machine.clock += seconds(200); };
  const auto result = story.members[0].wait_departed(story.machine.clock + seconds(120));
  CHECK(result.error() == Errc::deadline);
  CHECK(result.error().message() == "rank 2 did not come to tear the domain down");
}

TEST_CASE(
    "a rank that is killed between its last word of the teardown and the wake-up leaves nobody asleep") {
  FakeEnvironment machine, doomed;  // what `doomed` wakes does not hear it
  const WindowSpec spec{.domain = {1, 2}, .generation = 1, .rank = 0, .ranks = 2, .bytes = 8};
  WindowSpec other = spec;
  other.rank = 1;
  DomainMember zero = DomainMember::create(spec, machine).value(),
               one = DomainMember::create(other, doomed).value();
  zero.import(one.blob().value()).value();
  one.import(zero.blob().value()).value();
  zero.commit().value();
  one.commit().value();
  machine.on_park = [&](Deadline) {
    one.depart();
    CHECK(machine.wakes == 0);
    zero.mark_lost(1);  // its socket ends
    CHECK(machine.wakes == 1);
  };
  CHECK(zero.wait_departed(never));
  CHECK(machine.parks == 1);
}

TEST_CASE("ranks spin only where each can have a processor of its own") {
  const WaitPolicy fit = WaitPolicy::for_ranks(2, 2), crowded = WaitPolicy::for_ranks(3, 2);
  CHECK(fit.spins > crowded.spins);
  CHECK(crowded.yields > 0);
  CHECK(crowded.yields <= 1000);
  // Pinned ranks see one processor each; together they have as many as there are ranks.
  FakeEnvironment left, right;
  left.processor_mask = 1;
  right.processor_mask = 2;
  const WindowSpec spec{.domain = {1, 2}, .generation = 1, .rank = 0, .ranks = 2, .bytes = 8};
  WindowSpec other = spec;
  other.rank = 1;
  for (const bool pinned_apart : {true, false}) {
    right.processor_mask = pinned_apart ? 2 : 1;
    DomainMember zero = DomainMember::create(spec, left).value(),
                 one = DomainMember::create(other, right).value();
    zero.import(one.blob().value()).value();
    zero.commit().value();
    left.yields = 0;
    left.on_park = [&](Deadline) { zero.abort(); };
    CHECK(zero.barrier().error() == Errc::aborted);
    CHECK(left.yields == static_cast<int>((pinned_apart ? fit : crowded).yields));
  }
}

TEST_CASE("no memory for a window is an error before anything is touched") {
  const NoLeaks leaks;
  FakeEnvironment machine;
  machine.memory_left = 10'000;
  const WindowSpec spec{.domain = {1, 2}, .generation = 1, .rank = 0, .ranks = 2, .bytes = 20'000};
  CHECK(DomainMember::create(spec, machine).error() == Errc::no_memory);
  CHECK(machine.memory_left == 10'000);
}

TEST_CASE("one rank without memory fails the meeting for all, and says which it was") {
  const NoLeaks leaks;
  FakeEnvironment poor;
  poor.memory_left = 0;
  poor.clock = Environment::machine().now();  // it meets real peers
  run_ranks(3, [&](std::uint32_t rank) {
    const Environment& machine = rank == 1 ? static_cast<const Environment&>(poor) : Environment::machine();
    auto comm = Communicator::init(rank, 3, meeting("poor"), patient(), machine).value();
    const auto result = comm.alloc_windows(100);
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::no_memory);
    if (rank != 1) CHECK(result.error().message().find("rank 1: no room") != std::string::npos);
    CHECK(comm.destroy());
  });
}

TEST_CASE("a window that no machine has room for is an error, not a killed process") {
  const NoLeaks leaks;
  const WindowSpec spec{.domain = {1, 2}, .generation = 1, .rank = 0, .ranks = 1, .bytes = max_window_bytes};
  const auto result = DomainMember::create(spec);
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::no_memory);
  CHECK_FALSE(result.error().hint().empty());
}

}  // namespace
