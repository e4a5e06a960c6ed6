// The meeting as a state machine: no sockets, no processes, every order of events that can be thought of.
#include <doctest/doctest.h>

#include <random>

#include "comm/windows/fake_environment.hpp"
#include "comm/windows/fake_meeting.hpp"
#include "comm/windows/ranks.hpp"
#include "support/random.hpp"

namespace {

using namespace troupe;
using namespace troupe::comm;
using namespace troupe::comm::test;
using Phase = MeetingMember::Phase;

std::vector<MeetingTerms> group(std::uint32_t ranks, std::uint64_t bytes = 64) {
  std::vector<MeetingTerms> terms;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) terms.push_back({rank, ranks, bytes});
  return terms;
}

Errc code_of(const MeetingMember& member) { return static_cast<Errc>(member.error().value().code().value); }

TEST_CASE("all ranks come, all commit, and the name is free once the last one sits") {
  const NoLeaks leaks;
  FakeMeeting meeting(group(4));
  for (std::size_t i = 0; i < 3; ++i) meeting.member(i).start();
  meeting.settle();
  CHECK(meeting.hub->gathering());
  meeting.member(3).start();
  CHECK(meeting.deliver(3, true));
  CHECK_FALSE(meeting.hub->gathering());
  meeting.settle();
  std::vector<DomainMember> domains;
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(meeting.member(i).phase() == Phase::committed);
    domains.push_back(meeting.member(i).take_domain());
  }
  for (const DomainMember& domain : domains) CHECK(domain.check());
}

TEST_CASE(
    "in any order of delivery, with a death, an abort or an impatient rank at any moment, all get an "
    "answer") {
  const NoLeaks leaks;
  const std::uint64_t first = troupe::test::first_seed();
  for (std::uint64_t seed = first; seed < first + troupe::test::seeds(400); ++seed) {
    INFO("TROUPE_SEED=", seed);
    std::mt19937_64 random(seed);
    const auto ranks = static_cast<std::uint32_t>(1 + random() % 5);
    FakeMeeting meeting(group(ranks));
    enum { nothing, death, abort, deadline } const event = static_cast<decltype(nothing)>(random() % 4);
    const std::size_t victim = random() % ranks;
    std::uint64_t until_event = random() % (ranks * 12 + 1);
    std::vector<bool> started(ranks, false);
    bool happened = false;
    for (int idle = 0; idle < 200;) {
      if (event != nothing && !happened && until_event-- == 0) {
        happened = true;
        if (event == death) meeting.kill(victim);
        if (event != death && started[victim]) {
          const Errc why = event == abort ? Errc::aborted : Errc::deadline;
          if (victim == 0)
            meeting.hub->give_up(why);
          else
            meeting.member(victim).give_up(why);
        }
      }
      const std::size_t at = random() % ranks;
      if (!started[at] && meeting.wires[at]->member && random() % 2 == 0) {
        started[at] = true;
        meeting.member(at).start();
      }
      idle = meeting.deliver(at, random() % 2 == 0) ? 0 : idle + 1;
    }
    meeting.settle();
    std::uint32_t committed = 0, failed = 0, waiting = 0;
    for (std::size_t i = 0; i < ranks; ++i) {
      if (!meeting.wires[i]->member) continue;
      const Phase phase = meeting.member(i).phase();
      committed += phase == Phase::committed ? 1 : 0;
      failed += phase == Phase::failed ? 1 : 0;
      waiting += phase != Phase::committed && phase != Phase::failed ? 1 : 0;
      if (phase != Phase::failed) continue;
      const Errc code = code_of(meeting.member(i));
      CHECK((code == Errc::peer_lost || code == Errc::aborted || code == Errc::deadline));
    }
    if (event == nothing) CHECK(committed == ranks);
    // Nobody is ever left between: who still waits, waits for a rank that is not here (and has a deadline).
    if (waiting != 0) {
      CHECK(happened);
      CHECK(meeting.hub);
      CHECK(meeting.hub->gathering());
      CHECK(committed == 0);
    }
    // All commit or none, unless one went after it had said that it sees all windows.
    if (committed != 0 && failed != 0) CHECK(happened);
    for (const auto& wire : meeting.wires)
      if (wire->member && wire->member->phase() == Phase::committed) {
        DomainMember domain = wire->member->take_domain();
        domain.release();
      }
  }
}

TEST_CASE("the deadline of the hub lists the missing for everybody") {
  FakeMeeting meeting(group(5));
  meeting.member(0).start();
  meeting.member(3).start();
  meeting.settle();
  meeting.hub->give_up(Errc::deadline);
  meeting.settle();
  for (const std::size_t i : {0U, 3U}) {
    CHECK(code_of(meeting.member(i)) == Errc::deadline);
    CHECK(meeting.member(i).error()->message() == "rank 1, 2 and 4 did not join in time");
  }
  // Who comes later is told the same instead of being kept waiting.
  meeting.member(1).start();
  meeting.settle();
  CHECK(code_of(meeting.member(1)) == Errc::deadline);
}

TEST_CASE("a rank that gives up before its own messages have come round does not miss itself") {
  FakeMeeting meeting(group(4));
  meeting.member(0).start();
  meeting.member(2).start();
  meeting.hub->give_up(Errc::deadline);  // nothing has been delivered; the hub is with rank 0
  meeting.settle();
  CHECK(meeting.member(0).error()->message() == "rank 1, 2 and 3 did not join in time");
}

TEST_CASE("a member whose own deadline comes first knows who is missing and may come again") {
  FakeMeeting meeting(group(4));
  for (const std::size_t i : {0U, 1U, 2U}) meeting.member(i).start();
  meeting.settle();
  meeting.member(1).give_up(Errc::deadline);
  CHECK_FALSE(meeting.member(1).ended());
  meeting.settle();
  REQUIRE(meeting.member(1).ended());
  CHECK(meeting.member(1).error()->message() == "rank 3 did not join in time");
  CHECK(meeting.hub->gathering());
  CHECK(meeting.member(0).phase() == Phase::offered);
  // The same rank on a new connection.
  FakeMeeting::Wire::End to_hub, to_member;
  MeetingMember again({1, 4, 64}, Environment::machine(), to_hub);
  again.start();
  meeting.hub->received(99, to_member, decode_message(to_hub.queue.front().bytes).value(), {});
  CHECK(decode_message(to_member.queue.front().bytes).value().kind == Message::Kind::welcome);
  CHECK(meeting.hub->rank_of(99) == 1);
}

TEST_CASE("who is here and silent is to blame, not who gives up because of that") {
  FakeMeeting meeting(group(4));
  for (std::size_t i = 0; i < 4; ++i) meeting.member(i).start();
  // All are here. Rank 2 is stopped before it offers its window.
  for (std::size_t i = 0; i < 4; ++i) CHECK(meeting.deliver(i, true));
  for (const std::size_t i : {0U, 1U, 3U}) {
    while (meeting.deliver(i, false)) {
    }
    while (meeting.deliver(i, true)) {
    }
  }
  meeting.member(1).give_up(Errc::deadline);
  CHECK(meeting.deliver(1, true));
  for (const std::size_t i : {0U, 1U, 3U}) {
    while (meeting.deliver(i, false)) {
    }
    REQUIRE(meeting.member(i).ended());
    CHECK(code_of(meeting.member(i)) == Errc::deadline);
    CHECK(meeting.member(i).error()->message() ==
          "rank 2 did not share its window in time; rank 1 gave up waiting");
  }
}

TEST_CASE("a hub that answers nobody is named by those it keeps waiting") {
  FakeMeeting meeting(group(3));
  meeting.member(1).start();
  meeting.member(1).give_up(Errc::deadline);
  meeting.member(1).unanswered();
  CHECK(code_of(meeting.member(1)) == Errc::deadline);
  CHECK(meeting.member(1).error()->message() == "the rank that came first did not answer in time");
  meeting.member(2).start();
  CHECK(meeting.deliver(2, true));
  CHECK(meeting.deliver(2, false));
  meeting.member(2).give_up(Errc::deadline);
  meeting.member(2).unanswered();
  CHECK(meeting.member(2).error()->message() == "rank 0, which came first, did not answer in time");
}

TEST_CASE("ranks that disagree wait for each other, so that all of them hear it") {
  const NoLeaks leaks;
  SUBCASE("about the size") {
    FakeMeeting meeting({{0, 3, 64}, {1, 3, 65}, {2, 3, 64}});
    meeting.member(0).start();
    meeting.member(1).start();
    meeting.settle();
    CHECK(meeting.hub->gathering());
    CHECK_FALSE(meeting.member(1).ended());
    meeting.member(2).start();
    meeting.settle();
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(code_of(meeting.member(i)) == Errc::mismatch);
      CHECK(meeting.member(i).error()->message() ==
            "rank 1 wants 3 ranks and windows of 65 bytes, rank 0 wants 3 and 64");
    }
  }
  SUBCASE("about the count: the smaller one decides how long") {
    FakeMeeting meeting({{0, 4, 64}, {1, 3, 64}, {2, 3, 64}});
    meeting.member(0).start();
    meeting.member(1).start();
    meeting.settle();
    CHECK_FALSE(meeting.member(0).ended());
    meeting.member(2).start();
    meeting.settle();
    for (std::size_t i = 0; i < 3; ++i) CHECK(code_of(meeting.member(i)) == Errc::mismatch);
  }
  SUBCASE("a rank beyond the hub's count") {
    FakeMeeting meeting({{0, 2, 64}, {2, 3, 64}, {1, 2, 64}});
    meeting.member(0).start();
    meeting.member(1).start();
    meeting.settle();
    CHECK(code_of(meeting.member(1)) == Errc::mismatch);
    meeting.member(2).start();
    meeting.settle();
    CHECK(code_of(meeting.member(0)) == Errc::mismatch);
    CHECK(code_of(meeting.member(2)) == Errc::mismatch);
  }
  SUBCASE("at the deadline it is still the disagreement") {
    FakeMeeting meeting({{0, 3, 64}, {1, 3, 65}});
    meeting.member(0).start();
    meeting.member(1).start();
    meeting.settle();
    meeting.hub->give_up(Errc::deadline);
    meeting.settle();
    CHECK(code_of(meeting.member(0)) == Errc::mismatch);
  }
}

TEST_CASE("a rank without memory fails all, when all are here to hear it, its leaving is no death") {
  const NoLeaks leaks;
  FakeEnvironment poor;
  poor.memory_left = 0;
  for (const std::size_t who : {0U, 1U}) {
    std::vector<const Environment*> machines(3, nullptr);
    machines[who] = &poor;
    FakeMeeting meeting(group(3), machines);
    meeting.member(0).start();
    meeting.member(1).start();
    meeting.settle();
    CHECK(code_of(meeting.member(who)) == Errc::no_memory);
    CHECK(meeting.hub->gathering());
    meeting.member(2).start();
    meeting.settle();
    for (std::size_t i = 0; i < 3; ++i) CHECK(code_of(meeting.member(i)) == Errc::no_memory);
    CHECK(meeting.member(2).error()->message().rfind("rank " + std::to_string(who) + ": no room", 0) == 0);
  }
}

TEST_CASE("rosters travel two at a time, so that few descriptors are in flight") {
  FakeMeeting meeting(group(6));
  for (std::size_t i = 0; i < 6; ++i) meeting.member(i).start();
  // All but the rosters: what is for the hub first, then the welcomes.
  const auto rosters = [&] {
    int count = 0;
    for (const auto& wire : meeting.wires)
      for (const auto& packet : wire->to_member.queue)
        count += decode_message(packet.bytes).value().kind == Message::Kind::roster ? 1 : 0;
    return count;
  };
  int most = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < 6; ++i) {
      while (meeting.deliver(i, true)) most = std::max(most, rosters()), moved = true;
      moved = meeting.deliver(i, false) || moved;
    }
  }
  CHECK(most == 2);
  for (std::size_t i = 0; i < 6; ++i) CHECK(meeting.member(i).phase() == Phase::committed);
}

TEST_CASE("messages out of turn and bytes that are none end the meeting with an error") {
  SUBCASE("from a rank") {
    FakeMeeting meeting(group(2));
    meeting.member(0).start();
    meeting.settle();
    Message message;
    message.kind = Message::Kind::imported;
    message.rank = 1;
    message.ranks = 2;
    meeting.hub->received(1, meeting.wires[1]->to_member, message, {});  // no hello yet: refused, harmless
    CHECK(meeting.hub->gathering());
    meeting.member(1).start();
    meeting.wires[1]->to_hub.send(message);
    meeting.settle();
    CHECK(code_of(meeting.member(0)) == Errc::bad_blob);
  }
  SUBCASE("from the hub") {
    FakeMeeting meeting(group(2));
    meeting.member(1).start();
    Message message;
    message.kind = Message::Kind::committed;
    meeting.member(1).received(message, {});
    CHECK(code_of(meeting.member(1)) == Errc::bad_blob);
  }
  SUBCASE("bytes") {
    FakeMeeting meeting(group(2));
    meeting.member(0).start();
    meeting.settle();
    meeting.wires[1]->to_hub.queue.push_back({std::vector<std::byte>(5), std::make_shared<Descriptors>()});
    meeting.settle();
    CHECK(meeting.hub->gathering());  // a stranger's noise is nobody's business
  }
  SUBCASE("a roster that lost its descriptors") {
    FakeMeeting meeting(group(2));
    meeting.member(0).start();
    meeting.member(1).start();
    while (meeting.wires[1]->to_member.queue.empty() ||
           decode_message(meeting.wires[1]->to_member.queue.back().bytes).value().kind !=
               Message::Kind::roster) {
      const bool moved = meeting.deliver(0, true) || meeting.deliver(1, true) || meeting.deliver(0, false) ||
                         meeting.deliver(1, false);
      REQUIRE(moved);
    }
    meeting.wires[1]->to_member.queue.back().descriptors->clear();
    meeting.settle();
    CHECK(code_of(meeting.member(1)) == Errc::system);
    CHECK(code_of(meeting.member(0)) == Errc::system);
  }
}

TEST_CASE("messages come back as they were sent, and nothing else is taken for one") {
  const std::uint64_t seed = troupe::test::first_seed();
  INFO("TROUPE_SEED=", seed);
  std::mt19937_64 random(seed);
  for (std::uint64_t i = 0; i < troupe::test::cases(2000); ++i) {
    Message message;
    message.kind = static_cast<Message::Kind>(1 + random() % 8);
    message.ranks = static_cast<std::uint32_t>(1 + random() % 64);
    message.rank = static_cast<std::uint32_t>(random() % message.ranks);
    message.bytes = random();
    message.domain = {random(), random()};
    message.generation = random();
    message.code = static_cast<std::int32_t>(random());
    if (message.kind == Message::Kind::failed || message.kind == Message::Kind::leave)
      message.text = std::string(random() % 2000, 'x');
    if (message.kind == Message::Kind::offer) message.blobs.resize(1);
    if (message.kind == Message::Kind::roster) message.blobs.resize(message.ranks);
    for (WindowBlob& blob : message.blobs) blob[random() % blob.size()] = static_cast<std::byte>(random());
    std::vector<std::byte> packet = encode(message);
    CHECK(packet.size() <= max_message_bytes);
    const Message back = decode_message(packet).value();
    CHECK(back.kind == message.kind);
    CHECK(back.rank == message.rank);
    CHECK(back.ranks == message.ranks);
    CHECK(back.bytes == message.bytes);
    CHECK(back.domain == message.domain);
    CHECK(back.generation == message.generation);
    CHECK(back.code == message.code);
    CHECK(back.text == message.text.substr(0, max_message_text));
    CHECK(back.blobs == message.blobs);
    packet.pop_back();
    CHECK_FALSE(decode_message(packet));
    packet.resize(packet.size() + 2);
    CHECK_FALSE(decode_message(packet));
  }
}

}  // namespace
