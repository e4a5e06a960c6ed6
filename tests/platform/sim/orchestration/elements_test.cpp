// Memory, elements, and the cores that an orchestration gets.
#include <doctest/doctest.h>

#include "orchestration/scenario.hpp"

using namespace troupe;
using namespace troupe::test;

TEST_CASE("allocated tensors start with their initial value, those of tasks too") {
  everywhere([](Scenarios& chip) {
    chip.runs(initial_values);
    CHECK(chip.y == all(5));
    if (!chip.is_host_graph) CHECK(chip.z == all(4));
  });
}

TEST_CASE("elements are read after who writes them and written before who reads them") {
  for (const auto* platform : platforms) {
    Scenarios chip(platform, "tmr");
    chip.runs(elements);
    auto expected = all(6);
    expected[5] = 106;
    CHECK(chip.y == expected);
    CHECK(chip.notes[7] == 42);
    CHECK(chip.notes[8] == 43);
  }
}

TEST_CASE("before the launch, only elements that came from the host have values") {
  for (const auto* platform : platforms) {
    Scenarios chip(platform, "hbg");
    CHECK(chip.code(reads_made) == 5);
    CHECK(chip.code(writes_made) == 8);
    chip.runs(counts);
    CHECK(chip.notes[0] == 8);
  }
}

TEST_CASE("an element outside of its tensor is refused") {
  everywhere([](Scenarios& chip) { CHECK(chip.code(element_outside) == 5); });
}

TEST_CASE("every block sees its own contexts") {
  everywhere([](Scenarios& chip) {
    chip.runs(some_blocks);
    CHECK(chip.tasks == 7);
    for (int block = 0; block < 7; ++block) {
      const std::int32_t* row = chip.notes.data() + 8 * block;
      CHECK(std::vector<std::int32_t>(row, row + 8) ==
            std::vector<std::int32_t>{block, 7, 0, 1, 1, 64, 1, 1});
    }
  });
}

TEST_CASE("a mixed task has one matrix core and its vector cores, each of its own lane") {
  everywhere([](Scenarios& chip) {
    chip.runs(mixed);
    CHECK(std::vector<std::int32_t>(chip.notes.begin(), chip.notes.begin() + 3) ==
          std::vector<std::int32_t>{3, 2, 1});
    chip.notes.assign(64, 0);
    chip.runs(second_vector_lane);  // alone, it takes the first
    CHECK(std::vector<std::int32_t>(chip.notes.begin(), chip.notes.begin() + 3) ==
          std::vector<std::int32_t>{1, 1, 0});
  });
}

TEST_CASE("a run has 8 clusters, and as many blocks start together as there are cores") {
  everywhere([](Scenarios& chip) {
    chip.runs(counts);
    CHECK(chip.notes[0] == 8);
    CHECK(chip.notes[1] == 16);
    chip.notes.assign(64, 0);
    chip.runs(together);
    CHECK(chip.notes[0] == 16);
    CHECK(chip.notes[3] == 120);
    CHECK(chip.code(too_many_together) == 7);
  });
}

TEST_CASE("what has to run together does, and independent tasks that wait for each other do too") {
  everywhere([](Scenarios& chip) {
    chip.runs(meets_in_blocks);
    CHECK(chip.notes[0] == 16);
    chip.notes.assign(64, 0);
    chip.runs(meets_in_cluster);
    CHECK(chip.notes[0] == 24);
    chip.notes.assign(64, 0);
    chip.runs(meets_across_tasks);
    CHECK(chip.notes[0] == 5);
  });
}

TEST_CASE("a task that waits for a notification has ended when its counter is high enough") {
  everywhere([](Scenarios& chip) {
    chip.runs(notified);
    CHECK(chip.notes[0] == 1);
    CHECK(chip.notes[2] == 2);
  });
}

TEST_CASE("the outputs of a task lie side by side, in steps of 1024 bytes") {
  for (const auto* platform : platforms) {
    Scenarios chip(platform, "tmr", {{"checked", "0"}});
    chip.runs(outputs_side_by_side);
    CHECK(std::vector<std::int32_t>(chip.notes.begin(), chip.notes.begin() + 5) ==
          std::vector<std::int32_t>{1024, 2048, 2048, 1, 3});
  }
}

TEST_CASE("tensors may have the types of the newer architecture") {
  for (const auto* platform : platforms) {
    Scenarios chip(platform, "tmr");
    chip.runs(small_floats);
    CHECK(chip.notes[0] == 1024);
    CHECK(chip.notes[1] == 1);
  }
}

TEST_CASE("on a checked chip everything is as it is elsewhere") {
  for (const auto* platform : platforms) {
    for (const auto* runtime : runtimes) {
      Scenarios chip(platform, runtime, {{"checked", "1"}});
      chip.runs(memory_again);
      CHECK(chip.y == all(3 + 2 + 199));
      chip.runs(ordered_by_creator);
      chip.runs(initial_values);
      chip.runs(strided);
      chip.runs(dummies);
    }
  }
}

TEST_CASE("a task is dumped as it asks: the arguments that it names") {
  everywhere([](Scenarios& chip) {
    const RunArgs arguments = chip.args(dumps);
    troupe_run asked = arguments.run(0, chip.callable);
    asked.flags |= TROUPE_RUN_DUMP;
    REQUIRE(chip.context.run(asked).has_value());
    REQUIRE(chip.dumps.size() == 2);
    CHECK(chip.dumps[0].argument == 2);  // a scalar, behind the tensors
    CHECK(chip.dumps[0].after == 0);
    CHECK(chip.dumps[0].bytes == 4);
    CHECK(chip.dumps[0].shape[0] == 1);
    CHECK(chip.dumps[1].argument == 1);
    CHECK(chip.dumps[1].after == 1);
  });
}

TEST_CASE("what an orchestration logs, and the time of its slots, arrive in the host's log") {
  everywhere([](Scenarios& chip) {
    chip.runs(writes_log);
    chip.runs(timed);
    const auto has = [&](std::int32_t level, const std::string& text) {
      return std::any_of(chip.logged.begin(), chip.logged.end(), [&](const auto& line) {
        return line.first == level && line.second.find(text) != std::string::npos;
      });
    };
    CHECK(has(TROUPE_LOG_ERROR, "scenarios: aicpu_orchestration_entry: e 1"));
    CHECK(has(TROUPE_LOG_WARNING, "w 2"));
    CHECK(has(TROUPE_LOG_INFO, "t 3"));
    CHECK(has(TROUPE_LOG_INFO, "i 4"));
    CHECK(has(TROUPE_LOG_DEBUG, "d 5"));
    CHECK(has(TROUPE_LOG_INFO, "timing slot 3: "));
  });
}
