#include <doctest/doctest.h>

#include "engine/bell.hpp"

using troupe::platform::sim::Bell;

namespace {

/// In place of the baton: `meanwhile` happens as soon as it is given back.
template <class Meanwhile>
struct Lock {
  Meanwhile meanwhile;
  void unlock() { meanwhile(); }
  void lock() {}
};
template <class Meanwhile>
Lock(Meanwhile) -> Lock<Meanwhile>;

}  // namespace

TEST_CASE("what is rung between the last look and the sleep is heard") {
  Bell bell;
  CHECK_FALSE(bell.is_heard());
  Lock lock{[&] {
    CHECK(bell.is_heard());
    bell.ring();
  }};
  CHECK(bell.listen(lock, 0, true));
  CHECK_FALSE(bell.is_heard());
}

TEST_CASE("a thread that does not sleep goes when it hears nothing") {
  Bell bell;
  bell.ring();  // nobody listens yet, so it is no news
  Lock quiet{[] {}};
  CHECK_FALSE(bell.listen(quiet, 3, false));
  Lock ringing{[&] { bell.ring(); }};
  CHECK(bell.listen(ringing, 3, false));
}
