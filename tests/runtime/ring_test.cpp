#include "troupe/runtime/ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using troupe::runtime::Ring;

TEST_CASE("a ring holds what a deque holds, whatever goes in and out at its ends") {
  std::mt19937 random(7);
  Ring<std::unique_ptr<int>> ring;
  std::deque<int> model;
  for (int i = 0; i < 20'000; ++i) {
    // Longer and longer, then shorter and shorter, so that it grows while it is wound around.
    const auto grows = random() % 10 < (i % 8'000 < 4'000 ? 6U : 4U);
    if (grows) {
      ring.push_back(std::make_unique<int>(i));
      model.push_back(i);
    } else if (!model.empty() && random() % 4 == 0) {
      ring.pop_back();
      model.pop_back();
    } else if (!model.empty()) {
      ring.pop_front();
      model.pop_front();
    }
    REQUIRE(ring.size() == model.size());
    if (model.empty()) continue;
    REQUIRE(*ring.front() == model.front());
    REQUIRE(*ring.back() == model.back());
    REQUIRE(*ring[ring.size() / 2] == model[model.size() / 2]);
  }
  REQUIRE_FALSE(model.empty());
  CHECK(std::equal(ring.begin(), ring.end(), model.begin(), model.end(),
                   [](const auto& held, int value) { return *held == value; }));
}

TEST_CASE("what leaves a ring, or is in it when it goes, is destroyed once") {
  const auto counted = std::make_shared<int>(0);
  {
    Ring<std::shared_ptr<int>> ring;
    for (int i = 0; i < 20; ++i) ring.push_back(counted);
    CHECK(counted.use_count() == 21);
    ring.pop_front();
    ring.pop_back();
    CHECK(counted.use_count() == 19);
    auto other = std::move(ring);
    CHECK(ring.empty());  // NOLINT(bugprone-use-after-move): that is what is checked
    CHECK(counted.use_count() == 19);
    ring = std::move(other);
    CHECK(ring.size() == 18);
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("an element of a ring may be pushed into it again while it grows") {
  Ring<std::vector<int>> ring;
  ring.push_back(std::vector{1, 2, 3});
  for (int i = 0; i < 100; ++i) ring.push_back(ring.front());
  CHECK(ring.back() == std::vector{1, 2, 3});
}
