// Which tasks of an orchestration wait for which.
#include <doctest/doctest.h>

#include "orchestration/scenario.hpp"

using namespace troupe;
using namespace troupe::test;

using Edges = std::map<std::uint64_t, std::set<std::uint64_t>>;

TEST_CASE("a task that writes waits for those that still read, which the other system does not know") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.producers(write_after_read) == Edges{{1, {}}, {2, {1}}});
    CHECK(chip.y == all(6));
    CHECK(chip.x == all(7));
  });
}

TEST_CASE("in a manual scope tasks wait for what they name, and for nothing else") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.producers(manual_unordered) == Edges{{1, {}}, {2, {}}});
    CHECK(chip.producers(manual_ordered) == Edges{{1, {}}, {2, {1}}});
    CHECK(chip.y == all(18));
  });
}

TEST_CASE("whoever made a tensor comes before those that use it without ordering") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.producers(ordered_by_creator) == Edges{{1, {}}, {2, {1}}, {3, {1}}});
    CHECK(chip.y == all(6));
    CHECK(chip.z[31] == 6);
    CHECK(chip.z[32] == 0);
  });
}

TEST_CASE("views that share no element do not wait for each other, those that do, do") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.producers(disjoint_rows) == Edges{{1, {}}, {2, {}}, {3, {1, 2}}});
    CHECK(chip.y[0] == 1);
    CHECK(chip.y[16] == 11);
    CHECK(chip.y[32] == 12);
    CHECK(chip.y[63] == 2);
  });
}

TEST_CASE("tiles of a matrix are exact") {
  everywhere([](Scenarios& chip) {
    CHECK(chip.producers(strided) == Edges{{1, {}}, {2, {}}, {3, {1, 2}}});
    for (std::size_t i = 0; i < 64; ++i) CHECK(chip.z[i] == (i % 8 < 4 ? 10 : 20));
  });
}

TEST_CASE("an explicit dependency waits unless its kind says that it only keeps memory") {
  for (const auto* platform : platforms) {
    CHECK(Scenarios(platform, "tmr").producers(wait_or_retain) == Edges{{1, {}}, {2, {}}});
    CHECK(Scenarios(platform, "hbg").producers(wait_or_retain) == Edges{{1, {}}, {2, {1}}});
  }
}

TEST_CASE("a number that is no task of the run is refused as a dependency") {
  everywhere([](Scenarios& chip) {
    const std::uint64_t numbers[] = {
        ~std::uint64_t{0}, 0, 5, std::uint64_t{1} << 32, std::uint64_t{7} << 32 | 3, ~std::uint64_t{0} - 1};
    for (const std::uint64_t number : numbers) CHECK(chip.code(not_a_task, number) == 5);
    CHECK(chip.x == all(3));
  });
}

TEST_CASE("a dummy task is a meeting point") {
  everywhere([](Scenarios& chip) {
    chip.runs(dummies);
    CHECK(chip.tasks == 2);
    CHECK(chip.z == all(7));
    const auto edges = chip.producers(dummies);
    CHECK(edges.at(3).contains(2));
  });
}

TEST_CASE("a predicate decides when its task's turn has come, as a signed integer of the element's width") {
  everywhere([](Scenarios& chip) {
    chip.notes[0] = -3;
    chip.runs(predicates);
    const std::vector<float> expected{1, 0, 1, 1, 0, 1, 0, 1, 0, 1};
    CHECK(std::vector<float>(chip.y.begin(), chip.y.begin() + 10) == expected);
    CHECK(chip.z[0] == 1);
    CHECK(chip.z[1] == 1);
  });
}

TEST_CASE("a hint changes no result") {
  everywhere([](Scenarios& chip) {
    chip.runs(early);
    CHECK(chip.y == all(6));
  });
}

TEST_CASE("a task behind a graph waits for all that the graph submitted") {
  everywhere([](Scenarios& chip) {
    const auto edges = chip.producers(after_graph);
    CHECK(chip.z == all(6));
    if (chip.is_host_graph) CHECK(edges == Edges{{1, {}}, {2, {}}, {3, {1, 2}}});
  });
}

TEST_CASE("graphs run where they are submitted") {
  everywhere([](Scenarios& chip) {
    chip.runs(graphs);
    CHECK(chip.y == all(5));
  });
}
