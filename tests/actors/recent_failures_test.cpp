#include "recent_failures.hpp"

#include <doctest/doctest.h>

using namespace troupe::actors;

namespace {

TaskRequest after(RunId run, std::vector<TaskNumber> tasks) {
  TaskRequest request;
  request.key = {.run = run, .task = 100};
  request.depends = std::move(tasks);
  return request;
}

}  // namespace

TEST_CASE("what follows one of the latest failures of its run is skipped, and nothing else") {
  RecentFailures failures(2);
  CHECK_FALSE(failures.lead_to(after(1, {1, 2})));
  failures.add({.run = 1, .task = 2});
  CHECK(failures.lead_to(after(1, {1, 2, 3})));
  CHECK_FALSE(failures.lead_to(after(1, {1, 3})));
  CHECK_FALSE(failures.lead_to(after(2, {2})));
  failures.add({.run = 2, .task = 7});
  CHECK(failures.lead_to(after(1, {2})));
  failures.add({.run = 1, .task = 8});  // the first one is forgotten
  CHECK_FALSE(failures.lead_to(after(1, {2})));
  CHECK(failures.lead_to(after(1, {8})));
  CHECK(failures.lead_to(after(2, {7})));
  failures.clear();
  CHECK_FALSE(failures.lead_to(after(2, {7})));
}
