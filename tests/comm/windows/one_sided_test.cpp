#include "troupe/comm/one_sided.hpp"

#include <limits>

#include "comm/windows/ranks.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;

TEST_CASE("put and get reach exactly the window") {
  const NoLeaks leaks;
  auto members = make_domain(3, 1000);
  const OneSided zero(members[0]), two(members[2]);
  const auto data = pattern(5, 1000);
  CHECK(zero.put(2, 0, bytes_of(data)));
  std::vector<std::uint8_t> back(1000);
  CHECK(two.get(2, 0, std::as_writable_bytes(std::span(back))));
  CHECK(back == data);
  CHECK(zero.put(2, 1000, {}));
  CHECK(zero.put(2, 1, bytes_of(data)).error() == Errc::out_of_bounds);
  CHECK(zero.put(2, 1001, {}).error() == Errc::out_of_bounds);
  CHECK(zero.put(2, std::numeric_limits<std::uint64_t>::max(), bytes_of(data)).error() ==
        Errc::out_of_bounds);
  CHECK(zero.put(3, 0, bytes_of(data)).error() == Errc::bad_rank);
  CHECK(zero.get(2, 999, std::as_writable_bytes(std::span(back))).error() == Errc::out_of_bounds);
  CHECK(zero.put(2, 999, bytes_of(data).first(1)));
  end_domain(members);
  CHECK(zero.put(2, 0, bytes_of(data)).error() == Errc::wrong_state);
  CHECK(OneSided(DomainMember()).put(0, 0, {}).error() == Errc::wrong_state);
}

template <class T>
void compare_all() {
  auto members = make_domain(2, 64);
  const OneSided zero(members[0]), one(members[1]);
  const T low = std::numeric_limits<T>::lowest();
  CHECK(zero.notify<T>(1, 8, NotifyOp::set, low));
  CHECK(one.test<T>(1, 8, Compare::equal, low).value());
  CHECK(zero.notify<T>(1, 8, NotifyOp::add, T{5}));
  CHECK(one.test<T>(1, 8, Compare::greater_equal, static_cast<T>(low + 5)).value());
  CHECK_FALSE(one.test<T>(1, 8, Compare::greater, static_cast<T>(low + 5)).value());
  CHECK(one.test<T>(1, 8, Compare::less_equal, static_cast<T>(low + 5)).value());
  CHECK_FALSE(one.test<T>(1, 8, Compare::less, static_cast<T>(low + 5)).value());
  CHECK(one.test<T>(1, 8, Compare::not_equal, static_cast<T>(low + 4)).value());
  CHECK(one.test<T>(1, 8, Compare::less, T{100}).value());
  CHECK(one.wait_until<T>(1, 8, Compare::greater, low));
  CHECK(zero.notify<T>(1, sizeof(T) / 2, NotifyOp::set, T{1}).error() == Errc::misaligned);
  CHECK(one.wait_until<T>(1, 1, Compare::equal, T{1}).error() == Errc::misaligned);
  CHECK(zero.notify<T>(1, 64, NotifyOp::set, T{1}).error() == Errc::out_of_bounds);
  CHECK(zero.notify<T>(2, 0, NotifyOp::set, T{1}).error() == Errc::bad_rank);
  CHECK(one.wait_until<T>(1, 60, Compare::equal, T{0}).has_value() == (sizeof(T) == 4));
  end_domain(members);
}

TEST_CASE("signal words of each width compare as their type") {
  const NoLeaks leaks;
  compare_all<std::int32_t>();
  compare_all<std::uint32_t>();
  compare_all<std::int64_t>();
  compare_all<std::uint64_t>();
}

TEST_CASE("what was put before a notify is there for whoever waited, in a ring, many times") {
  const NoLeaks leaks;
  constexpr std::uint32_t ranks = 4;
  constexpr std::uint64_t rounds = 300, size = 512;
  auto members = make_domain(ranks, size + 64);
  run_ranks(ranks, [&](std::uint32_t rank) {
    const OneSided windows(members[rank]);
    const std::uint32_t next = (rank + 1) % ranks;
    bool good = true;
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      good = good && windows.put(next, 0, bytes_of(pattern(static_cast<std::uint32_t>(round), size))) &&
             windows.notify<std::uint64_t>(next, size, NotifyOp::set, round) &&
             windows.wait_until<std::uint64_t>(rank, size, Compare::greater_equal, round);
      const auto expected = pattern(static_cast<std::uint32_t>(round), size);
      good = good && std::memcmp(members[rank].window(rank).data(), expected.data(), size) == 0 &&
             // Tell the left neighbour that its slot is free again.
             windows.notify<std::uint64_t>((rank + ranks - 1) % ranks, size + 8, NotifyOp::add, 1) &&
             windows.wait_until<std::uint64_t>(rank, size + 8, Compare::greater_equal, round);
    }
    CHECK(good);
    members[rank].wait_departed(never).value();
  });
}

TEST_CASE("additions of all ranks to one word are all counted") {
  const NoLeaks leaks;
  constexpr std::uint32_t ranks = 5;
  auto members = make_domain(ranks, 64);
  run_ranks(ranks, [&](std::uint32_t rank) {
    const OneSided windows(members[rank]);
    for (int i = 0; i < 1000; ++i) windows.notify<std::int32_t>(0, 4, NotifyOp::add, 1).value();
    windows.fence();
    if (rank == 0) CHECK(windows.wait_until<std::int32_t>(0, 4, Compare::equal, 1000 * ranks));
    members[rank].wait_departed(never).value();
  });
}

TEST_CASE("a signal that does not come by the deadline is an error that says what is there") {
  const NoLeaks leaks;
  auto members = make_domain(2, 64);
  const OneSided zero(members[0]);
  zero.notify<std::int32_t>(0, 0, NotifyOp::set, -3).value();
  const auto result = zero.wait_until<std::int32_t>(0, 0, Compare::equal, 7, Environment::machine().now());
  CHECK(result.error() == Errc::deadline);
  CHECK(result.error().message().find("it is -3, awaited 7") != std::string::npos);
  CHECK(members[1].check());  // nothing is broken
  end_domain(members);
}

TEST_CASE("a waiter on a signal is woken by the end of the epoch, a parked one too") {
  const NoLeaks leaks;
  auto members = make_domain(2, 64);
  for (DomainMember& member : members) member.set_wait_policy({.spins = 0, .yields = 0});
  run_ranks(2, [&](std::uint32_t rank) {
    if (rank == 0) {
      const auto result = OneSided(members[0]).wait_until<std::uint32_t>(0, 0, Compare::equal, 1);
      CHECK(result.error() == Errc::peer_lost);
      CHECK(result.error().message() == "rank 1 died");
    } else {
      members[1].mark_lost(1);
    }
  });
  // A signal that is already there is still a signal.
  OneSided(members[0]).notify<std::uint32_t>(0, 0, NotifyOp::set, 1).value();
  CHECK(OneSided(members[0]).wait_until<std::uint32_t>(0, 0, Compare::equal, 1));
}

}  // namespace
