#include <doctest/doctest.h>

#include "engine/bell.hpp"

using troupe::platform::sim::Bell;
using troupe::platform::sim::Service;

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
  Service service;
  CHECK_FALSE(bell.is_heard());
  Lock lock{[&] {
    CHECK(bell.is_heard());
    bell.ring();
  }};
  CHECK(bell.listen(lock, service, 0, true));
  CHECK_FALSE(bell.is_heard());
}

TEST_CASE("a thread that does not sleep goes when it hears nothing") {
  Bell bell;
  Service service;
  bell.ring();  // nobody listens yet, so it is no news
  Lock quiet{[] {}};
  CHECK_FALSE(bell.listen(quiet, service, 3, false));
  Lock ringing{[&] { bell.ring(); }};
  CHECK(bell.listen(ringing, service, 3, false));
}

TEST_CASE("who asks for service is heard by who listens, and asks nobody who is not there") {
  Bell bell;
  Service service;
  int mine = 0, other = 0;
  CHECK_FALSE(service.would_hear(&mine));
  service.begin();
  service.held_by(&other);
  CHECK(service.would_hear(&mine));
  CHECK_FALSE(service.would_hear(&other));  // it has the graph at hand itself
  CHECK_FALSE(service.ask([] { return false; }));
  CHECK_FALSE(service.is_asked());
  Lock nothing{[] {}};
  CHECK(service.ask([&] {
    CHECK(service.is_asked());
    return bell.listen(nothing, service, 3, false);
  }));
  service.end();
  CHECK_FALSE(service.ask([] { return true; }));
}
