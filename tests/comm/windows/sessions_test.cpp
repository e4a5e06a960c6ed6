#include <latch>

#include "comm/windows/ranks.hpp"

namespace {

using namespace troupe::comm;
using namespace troupe::comm::test;

TEST_CASE("the six functions work as the reference's, with codes instead of exceptions") {
  const NoLeaks leaks;
  run_ranks(2, [&](std::uint32_t rank) {
    CommSessions sessions;
    const auto handle = sessions.comm_init(static_cast<int>(rank), 2, meeting("six").c_str(), patient());
    REQUIRE(handle != nullptr);
    std::uint64_t base = 1;
    std::size_t size = 1;
    CHECK(sessions.comm_get_local_window_base(handle, &base) == 0);
    CHECK(sessions.comm_get_window_size(handle, &size) == 0);
    CHECK(base == 0);
    CHECK(size == 0);
    CHECK(sessions.comm_barrier(handle) == static_cast<int>(Errc::wrong_state));
    std::uint64_t context = 0;
    REQUIRE(sessions.comm_alloc_windows(handle, 500, &context) == 0);
    CHECK(sessions.comm_get_local_window_base(handle, &base) == 0);
    CHECK(sessions.comm_get_window_size(handle, &size) == 0);
    CHECK(size == 500);
    const auto* view = reinterpret_cast<const troupe::runtime::CommContext*>(context);
    CHECK(view->windows_in[rank] == base);
    CHECK(sessions.domain(handle)->context() == view);
    CHECK(sessions.comm_barrier(handle) == 0);
    CHECK(sessions.live() == 1);
    CHECK(sessions.comm_destroy(handle) == 0);
    CHECK(sessions.live() == 0);
    CHECK(sessions.comm_destroy(handle) == static_cast<int>(Errc::bad_argument));
  });
}

TEST_CASE("bad arguments are answered, not followed") {
  const NoLeaks leaks;
  CommSessions sessions;
  CHECK(sessions.comm_init(0, 1, nullptr) == nullptr);
  CHECK(sessions.comm_init(-1, 1, "x") == nullptr);
  CHECK(sessions.comm_init(0, 0, "x") == nullptr);
  CHECK(sessions.comm_init(1, 1, "x") == nullptr);
  CHECK(sessions.comm_init(0, 65, "x") == nullptr);
  REQUIRE(sessions.last_error() != nullptr);
  CHECK(*sessions.last_error() == Errc::bad_rank);
  std::uint64_t out = 0;
  CHECK(sessions.comm_barrier(nullptr) == static_cast<int>(Errc::bad_argument));
  CHECK(sessions.comm_alloc_windows(reinterpret_cast<CommSessions::Handle>(&out), 64, &out) ==
        static_cast<int>(Errc::bad_argument));
  const auto handle = sessions.comm_init(0, 1, meeting("bad").c_str());
  REQUIRE(handle != nullptr);
  CHECK(sessions.comm_alloc_windows(handle, 64, nullptr) == static_cast<int>(Errc::bad_argument));
  CHECK(sessions.comm_get_local_window_base(handle, nullptr) != 0);
  CHECK(sessions.comm_get_window_size(handle, nullptr) != 0);
}

TEST_CASE("a second communicator on a context is an error unless asked for") {
  const NoLeaks leaks;
  CommSessions sessions;
  const auto first = sessions.comm_init(0, 1, meeting("first").c_str());
  REQUIRE(first != nullptr);
  CHECK(sessions.comm_init(0, 1, meeting("second").c_str()) == nullptr);
  CHECK(*sessions.last_error() == Errc::already_live);
  const auto second =
      sessions.comm_init(0, 1, meeting("second").c_str(), {.timeout = generous, .allow_several = true});
  CHECK(second != nullptr);
  CHECK(sessions.live() == 2);
  CHECK(sessions.comm_destroy(first) == 0);
  CHECK(sessions.comm_init(0, 1, meeting("third").c_str()) == nullptr);
  CHECK(sessions.comm_destroy(second) == 0);
  CHECK(sessions.comm_init(0, 1, meeting("third").c_str()) != nullptr);
}

TEST_CASE("a context that goes down ends the waits of its communicators") {
  const NoLeaks leaks;
  CommSessions here, there;
  const auto a = here.comm_init(0, 2, meeting("down").c_str(), patient());
  const auto b = there.comm_init(1, 2, meeting("down").c_str(), patient());
  std::uint64_t context = 0;
  std::latch met(2);
  std::thread waiter([&] {
    CHECK(here.comm_alloc_windows(a, 64, &context) == 0);
    met.arrive_and_wait();
    CHECK(here.comm_barrier(a) == static_cast<int>(Errc::aborted));
  });
  std::uint64_t other = 0;
  CHECK(there.comm_alloc_windows(b, 64, &other) == 0);
  met.arrive_and_wait();
  here.abort_all();
  waiter.join();
  CHECK(there.comm_barrier(b) == static_cast<int>(Errc::aborted));
}

}  // namespace
