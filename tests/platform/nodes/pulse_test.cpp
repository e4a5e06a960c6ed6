// When the other end of a link counts as gone: two ends with a virtual clock between which bytes take their
// time, get stuck, or stop.
#include <doctest/doctest.h>

#include <deque>
#include <random>

#include "support/random.hpp"
#include "wire/pulse.hpp"

using namespace troupe::test;
using troupe::platform::isolation::Pulse;

namespace {

constexpr std::uint64_t ms = 1'000'000, bound = 2000 * ms;

/// One direction: bytes arrive in their order, some late; `cut`: none does any more.
struct Direction {
  std::deque<std::uint64_t> arrivals;
  std::uint64_t last = 0;
  bool cut = false;
  void send(std::uint64_t now, std::uint64_t delay) {
    if (cut) return;
    last = std::max(last, now + delay);
    arrivals.push_back(last);
  }
};

struct End {
  Pulse pulse;
  bool over = false;
  std::uint64_t over_at = 0;
};

}  // namespace

TEST_CASE(
    "an end that says something in time is never given up, one that has gone is, soon after the bound") {
  for (std::uint64_t seed = first_seed(), last = seed + seeds(10'000); seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto up_to = [&](std::uint64_t most) { return random() % (most + 1); };
    End ends[2];
    Direction to[2];
    const std::uint64_t begin = up_to(1'000'000 * ms);
    for (auto& end : ends) end.pulse = Pulse(bound, bound, begin);
    // A sign leaves every quarter of the bound; with what it takes on its way there is a quarter left.
    const auto slowest = bound / 2;
    const auto cut_at = begin + up_to(20'000 * ms);
    const auto cuts = up_to(2);  // nobody's, one direction, both
    for (auto now = begin; now < cut_at + 2 * bound; now += 1 + up_to(40 * ms)) {
      for (int i = 0; i < 2; ++i) {
        if (now >= cut_at && static_cast<std::uint64_t>(i) < cuts) {
          to[i].cut = true;
          to[i].arrivals.clear();
        }
        auto& end = ends[i];
        while (!to[i].arrivals.empty() && to[i].arrivals.front() <= now) {
          to[i].arrivals.pop_front();
          end.pulse.heard(now);
        }
        if (end.over || end.pulse.next() > now) continue;
        switch (end.pulse.due(now)) {
          case Pulse::Due::over:
            end.over = true;
            end.over_at = now;
            to[1 - i].cut = true;  // it closes, which is heard, or is not
            break;
          case Pulse::Due::sign:
            end.pulse.said(now);
            to[1 - i].send(now, up_to(slowest));
            break;
          default:
            break;
        }
      }
    }
    if (cuts == 0) {
      CHECK_FALSE(ends[0].over);
      CHECK_FALSE(ends[1].over);
    } else {
      CHECK(ends[0].over);
      CHECK(ends[0].over_at >= cut_at);
      CHECK(ends[0].over_at <= cut_at + bound + slowest + 100 * ms);
    }
  }
}

TEST_CASE("who was stopped himself listens once more before he gives the other end up") {
  Pulse pulse(bound, bound, 0);
  CHECK(pulse.due(10 * bound) != Pulse::Due::over);
  CHECK(pulse.in_doubt());
  pulse.heard(10 * bound);  // it had been there all the time
  CHECK_FALSE(pulse.in_doubt());
  CHECK(pulse.due(10 * bound + 1) != Pulse::Due::over);
  CHECK(pulse.due(12 * bound) != Pulse::Due::over);
  CHECK(pulse.due(12 * bound) == Pulse::Due::over);
}

TEST_CASE("an end gives signs for the other one's patience, and has its own") {
  Pulse pulse(bound, bound / 10, 0);
  CHECK(pulse.next() == bound / 40);
  CHECK(pulse.due(bound / 40 - 1) == Pulse::Due::nothing);
  CHECK(pulse.due(bound / 40) == Pulse::Due::sign);
  pulse.said(bound / 40);
  CHECK(pulse.next() == bound / 20);
  for (auto now = bound / 20; now < bound; now += bound / 40) {
    CHECK(pulse.due(now) == Pulse::Due::sign);
    pulse.said(now);
  }
  CHECK_FALSE(pulse.in_doubt());
}

TEST_CASE("a link without a bound is never over, and needs no looking after") {
  Pulse pulse;
  CHECK(pulse.next() == 0);
  CHECK(pulse.due(UINT64_MAX) == Pulse::Due::nothing);
}
