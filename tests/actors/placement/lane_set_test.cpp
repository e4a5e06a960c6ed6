// Executors by number, asked in a circle.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "placement/lane_set.hpp"

using troupe::actors::LaneSet;

TEST_CASE("a set of lanes finds the next one in a circle, however many there are") {
  std::mt19937 random(5);
  for (int lanes : {1, 2, 63, 64, 65, 200}) {
    LaneSet set;
    std::vector<bool> in(static_cast<std::size_t>(lanes));
    CHECK(set.next(0) == -1);
    for (int step = 0; step < 500; ++step) {
      const auto lane = static_cast<std::int32_t>(random() % in.size());
      in[static_cast<std::size_t>(lane)] = random() % 3 == 0;
      set.set(lane, in[static_cast<std::size_t>(lane)]);
      const auto from = random() % (in.size() + 1);
      std::int32_t expected = -1;
      for (std::size_t n = 0; n < in.size() && expected < 0; ++n) {
        if (in[(from + n) % in.size()]) expected = static_cast<std::int32_t>((from + n) % in.size());
      }
      CHECK(set.next(from) == expected);
    }
  }
}
