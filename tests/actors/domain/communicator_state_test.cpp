// A communicator, message by message: the members are whatever the test lets them answer.
#include "domain/communicator_state.hpp"

#include <doctest/doctest.h>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe::actors;
using namespace troupe;
using Phase = CommunicatorState::Phase;

namespace {

struct Bench {
  explicit Bench(std::uint32_t ranks = 2) : state(layout(ranks), 4096, members(ranks), "node0/domain5") {}

  static DomainInfo layout(std::uint32_t ranks) {
    DomainInfo info;
    info.id = info.epoch = 5;
    info.ranks.resize(ranks);
    return info;
  }
  static std::vector<DomainMember> members(std::uint32_t ranks) {
    std::vector<DomainMember> list;
    for (std::uint32_t i = 0; i < ranks; ++i) {
      const auto chip = static_cast<std::int32_t>(10 + i);
      list.push_back({chip, 3, device_arena(0, chip), "chip" + std::to_string(chip), Chip()});
    }
    return list;
  }

  CommunicatorEffects form() { return state.form(comm::DomainId{7, 8}), state.take(); }
  CommunicatorEffects created(std::uint32_t rank) {
    WindowOffer offer;
    offer.window = 100 + rank;
    offer.blob.bytes[0] = static_cast<std::uint8_t>(rank + 1);
    state.created(rank, offer);
    return state.take();
  }
  CommunicatorEffects imported(std::uint32_t rank) {
    troupe_window_view view{};
    view.local_base = 1000 * (rank + 1);
    view.bytes = 4096;
    state.imported(rank, view);
    return state.take();
  }
  CommunicatorEffects refused(std::uint32_t rank, const Error& error = {Errc::bad_argument, "no"}) {
    state.phase() == Phase::creating ? state.created(rank, error) : state.imported(rank, error);
    return state.take();
  }
  CommunicatorEffects lose(std::uint32_t rank) { return state.member_lost(rank), state.take(); }
  CommunicatorEffects hold(int delta) { return state.hold(delta), state.take(); }
  CommunicatorEffects dissolve() { return state.dissolve(), state.take(); }
  CommunicatorEffects arrive(std::uint32_t rank, RunId run = 1, std::uint64_t epoch = 5) {
    state.arrive({epoch, rank, run}, ++tickets);
    return state.take();
  }
  void all_formed() {
    form();
    for (std::uint32_t r = 0; r < state.ranks(); ++r) created(r);
    for (std::uint32_t r = 0; r < state.ranks(); ++r) imported(r);
    for (std::uint32_t r = 0; r < state.ranks(); ++r) imported(r);
    REQUIRE(state.phase() == Phase::formed);
  }

  CommunicatorState state;
  std::uint64_t tickets = 0;
};

std::string released(const CommunicatorEffects& effects) {
  std::string text;
  for (const auto& [rank, release] : effects.releases) {
    CHECK(release.window == 100 + rank);
    CHECK(release.incarnation == 3);
    text += (text.empty() ? "" : " ") + std::to_string(rank);
  }
  return text;
}

}  // namespace

TEST_CASE("communicator: creates, imports and commits, each step when all have answered the one before") {
  Bench bench;
  const auto start = bench.form();
  REQUIRE(start.creates.size() == 2);
  CHECK(start.creates[1].first == 1);
  CHECK(start.creates[1].second.spec.rank == 1);
  CHECK(start.creates[1].second.spec.rank_count == 2);
  CHECK(start.creates[1].second.spec.epoch == 5);
  CHECK(start.creates[1].second.incarnation == 3);
  CHECK(bench.created(1).imports.empty());
  const auto import = bench.created(0).imports;
  REQUIRE(import.size() == 2);
  CHECK(import[0].second.window == 100);
  CHECK_FALSE(import[0].second.commit);
  REQUIRE(import[0].second.blobs.size() == 2);
  CHECK(import[0].second.blobs[1].bytes[0] == 2);
  CHECK(bench.imported(0).imports.empty());
  const auto commit = bench.imported(1).imports;
  REQUIRE(commit.size() == 2);
  CHECK(commit[1].second.commit);
  CHECK(commit[1].second.blobs.empty());
  CHECK_FALSE(bench.imported(1).formed);
  const auto formed = bench.imported(0).formed;
  REQUIRE(formed);
  REQUIRE(*formed);
  CHECK((*formed)->ranks[1].chip == 11);
  CHECK((*formed)->ranks[1].base == 2000);
  CHECK((*formed)->ranks[1].generation == device_generation(3, 5));
}

TEST_CASE("communicator: a member that refuses takes all windows back, also those that come late") {
  Bench bench(3);
  bench.form();
  bench.created(0);
  SUBCASE("while windows are made") {
    const auto failed = bench.refused(2);
    REQUIRE(failed.formed);
    REQUIRE_FALSE(*failed.formed);
    CHECK(failed.formed->error().path() == "chip12");
    CHECK(released(failed) == "0");
    CHECK_FALSE(failed.over);
    const auto late = bench.created(1);
    CHECK(released(late) == "1");
    CHECK_FALSE(late.formed);
    CHECK(late.over);
  }
  SUBCASE("while blobs are imported, or committed") {
    bench.created(1);
    bench.created(2);
    SUBCASE("imported") {}
    SUBCASE("committed") {
      for (std::uint32_t r : {0U, 1U, 2U}) bench.imported(r);
      CHECK(bench.state.phase() == Phase::committing);
    }
    bench.imported(1);
    const auto failed = bench.refused(0);
    REQUIRE(failed.formed);
    CHECK(released(failed) == "0 1 2");
    CHECK_FALSE(failed.over);
    const auto last = bench.imported(2);
    CHECK(last.releases.empty());
    CHECK(last.over);
  }
}

TEST_CASE("communicator: no identity, no domain") {
  Bench bench;
  bench.state.form(Error(comm::Errc::peer_lost, "no entropy"));
  const auto effects = bench.state.take();
  REQUIRE(effects.formed);
  CHECK_FALSE(*effects.formed);
  CHECK(effects.creates.empty());
  CHECK(effects.over);
}

TEST_CASE("communicator: a death on the way fails it once, the dead one's window is not released") {
  Bench bench(3);
  bench.form();
  bench.created(0);
  bench.created(1);
  const auto failed = bench.lose(1);
  REQUIRE(failed.formed);
  CHECK(failed.formed->error() == comm::Errc::peer_lost);
  REQUIRE(failed.aborts.size() == 1);
  CHECK(failed.aborts[0].first == 0);
  CHECK(failed.aborts[0].second.rank == 1);
  CHECK(released(failed) == "0");
  CHECK_FALSE(failed.warning.empty());
  CHECK(bench.lose(1).aborts.empty());
  const auto late = bench.created(2);
  CHECK(released(late) == "2");
  CHECK_FALSE(late.formed);
  CHECK(late.over);
}

TEST_CASE("communicator: a window that is gone is the fault of who died, not of the member that misses it") {
  Bench bench(3);
  bench.form();
  for (std::uint32_t rank = 0; rank < 3; ++rank) bench.created(rank);
  const auto suspicious = bench.refused(1, Error(comm::Errc::stale, "the window of rank 0 is gone"));
  CHECK_FALSE(suspicious.formed);
  CHECK(suspicious.asks == std::vector<std::uint32_t>{0, 1, 2});
  SUBCASE("the dead one does not answer") {
    bench.state.there();
    CHECK_FALSE(bench.imported(2).formed);
    const auto effects = bench.lose(0);
    REQUIRE(effects.formed);
    CHECK(effects.formed->error() == comm::Errc::peer_lost);
    CHECK(effects.formed->error().path() == "chip10");
    bench.state.there();
    CHECK_FALSE(bench.state.take().formed);
  }
  SUBCASE("all answer: nobody is named, and all end with an error") {
    for (int i = 0; i < 3; ++i) bench.state.there();
    const auto effects = bench.state.take();
    REQUIRE(effects.formed);
    CHECK(effects.formed->error() == comm::Errc::peer_lost);
    CHECK(effects.formed->error().path().empty());
    CHECK(effects.formed->error().message().find("the window of rank 0 is gone") != std::string::npos);
  }
}

TEST_CASE("communicator: the offer of a member that has been reset meanwhile counts for nothing") {
  Bench bench;
  bench.form();
  bench.state.member_reset(11);
  bench.state.take();
  const auto late = bench.created(1);
  CHECK(late.releases.empty());
  CHECK_FALSE(late.over);
  CHECK(released(bench.created(0)) == "0");
}

TEST_CASE("communicator: a death revokes a formed domain, windows stay until the last task has ended") {
  Bench bench(3);
  bench.all_formed();
  CHECK_FALSE(bench.hold(2).over);
  const auto revoked = bench.lose(0);
  CHECK(bench.state.phase() == Phase::revoked);
  REQUIRE(revoked.aborts.size() == 2);
  CHECK(revoked.aborts[1].second.window == 102);
  CHECK(revoked.aborts[1].second.code == static_cast<std::int32_t>(comm::Errc::peer_lost));
  CHECK(revoked.releases.empty());
  CHECK_FALSE(bench.dissolve().over);
  CHECK_FALSE(bench.hold(-1).over);
  const auto end = bench.hold(-1);
  CHECK(released(end) == "1 2");
  CHECK(end.over);
}

TEST_CASE("communicator: dissolved while it forms, it is released as soon as it has formed") {
  Bench bench;
  bench.form();
  CHECK_FALSE(bench.dissolve().over);
  bench.created(0);
  bench.created(1);
  bench.imported(0);
  bench.imported(1);
  bench.imported(0);
  const auto end = bench.imported(1);
  REQUIRE(end.formed);
  CHECK(*end.formed);
  CHECK(released(end) == "0 1");
  CHECK(end.over);
}

TEST_CASE("communicator: the barrier answers all when the last rank has come, and counts") {
  Bench bench(3);
  bench.all_formed();
  for (std::uint64_t round = 1; round <= 2; ++round) {
    CHECK(bench.arrive(2).barriers.empty());
    CHECK(bench.arrive(0).barriers.empty());
    const auto met = bench.arrive(1).barriers;
    REQUIRE(met.size() == 3);
    for (const auto& [ticket, answer] : met) CHECK(answer.value() == round);
    CHECK(met[0].first == bench.tickets - 1);
    CHECK(met[1].first == bench.tickets);
    CHECK(met[2].first == bench.tickets - 2);
  }
}

TEST_CASE("communicator: who cannot be meant is refused at the barrier, and the others are not disturbed") {
  Bench bench;
  auto refusal = [](const CommunicatorEffects& effects) {
    REQUIRE(effects.barriers.size() == 1);
    return effects.barriers[0].second.error();
  };
  CHECK(refusal(bench.arrive(0)) == Errc::wrong_state);
  bench.all_formed();
  CHECK(bench.arrive(0).barriers.empty());
  CHECK(refusal(bench.arrive(0)) == Errc::wrong_state);
  CHECK(refusal(bench.arrive(2)) == Errc::bad_argument);
  CHECK(refusal(bench.arrive(1, 1, 4)) == Errc::wrong_state);
  CHECK(bench.arrive(1).barriers.size() == 2);
}

TEST_CASE(
    "communicator: an arrival whose run is over is taken back, and the next barrier is not off by one") {
  Bench bench;
  bench.all_formed();
  bench.arrive(0, 21);
  bench.state.withdraw(22);
  CHECK(bench.state.take().barriers.empty());
  bench.state.withdraw(21);
  const auto back = bench.state.take().barriers;
  REQUIRE(back.size() == 1);
  CHECK(back[0].second.error() == Errc::cancelled);
  CHECK(bench.arrive(1, 23).barriers.empty());
  CHECK(bench.arrive(0, 24).barriers.size() == 2);
}

TEST_CASE("communicator: whoever waits at the barrier, or comes later, hears of a death or the end") {
  Bench bench(3);
  bench.all_formed();
  bench.arrive(0);
  SUBCASE("a death") {
    const auto lost = bench.lose(2).barriers;
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].second.error() == comm::Errc::peer_lost);
    const auto late = bench.arrive(1).barriers;
    REQUIRE(late.size() == 1);
    CHECK(late[0].second.error() == comm::Errc::peer_lost);
  }
  SUBCASE("the end") {
    const auto end = bench.dissolve();
    REQUIRE(end.barriers.size() == 1);
    CHECK(end.barriers[0].second.error() == comm::Errc::peer_lost);
    CHECK(end.over);
  }
}

TEST_CASE("communicator: ended from outside while it forms, it answers and gives back what it has") {
  Bench bench;
  bench.form();
  bench.created(0);
  bench.state.end();
  const auto end = bench.state.take();
  REQUIRE(end.formed);
  CHECK(end.formed->error() == Errc::shut_down);
  CHECK(released(end) == "0");
}
