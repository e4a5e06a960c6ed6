#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "function/function_queue.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe::actors;
using namespace troupe;
using runtime::HostArgs;

namespace {

struct Bench {
  void push(TaskNumber number, HostFunction function, std::vector<TaskNumber> depends = {}) {
    TaskRequest request;
    request.key = {1, number, 0, 0};
    request.body = std::make_shared<TaskBody>();
    callables.push_back(host_callable("f" + std::to_string(number), std::move(function)));
    request.body->callable = callables.back().get();
    request.depends = std::move(depends);
    queue.push({request});
  }

  std::vector<CallableRef> callables;
  FunctionQueue queue{[this] { ++news; }};
  int news = 0;
};

}  // namespace

TEST_CASE("functions: in order, what follows a failure is skipped, any exception names its function") {
  Bench bench;
  std::string ran;
  bench.push(1, [&](HostArgs&) { ran += "1"; });
  bench.push(2, [](HostArgs&) { throw std::runtime_error("no"); });
  bench.push(3, [&](HostArgs&) { ran += "3"; }, {2});
  bench.push(4, [](HostArgs&) { throw 7; });
  bench.push(5, [&](HostArgs&) { ran += "5"; }, {1});
  bench.queue.drain();
  CHECK(ran == "15");
  CHECK(bench.news == 1);
  const auto results = bench.queue.take_results();
  REQUIRE(results.size() == 5);
  CHECK(*results[1].error == Errc::function_failed);
  CHECK(results[1].error->message() == "function \"f2\": no");
  CHECK(results[2].outcome == Outcome::skipped);
  CHECK(results[3].error->message() == "function \"f4\": threw something that is not a std::exception");
  CHECK(results[4].outcome == Outcome::done);
}

TEST_CASE("functions: the end of one is told before the next one ends, and each end once") {
  Bench bench;
  bench.push(1, [](HostArgs&) {});
  bench.push(2, [&](HostArgs&) {
    CHECK(bench.news == 1);
    REQUIRE(bench.queue.take_results().size() == 1);
    CHECK(bench.queue.why({1, 2}) == "function f2 runs");
    CHECK(bench.queue.why({1, 3}) == "queued behind 1 other");
    CHECK(bench.queue.why({1, 1}).empty());
  });
  bench.push(3, [](HostArgs&) {});
  CHECK(bench.queue.why({1, 2}) == "queued behind 1 other");
  bench.queue.drain();
  CHECK(bench.news == 2);
  CHECK(bench.queue.take_results().size() == 2);
  CHECK(bench.queue.take_results().empty());
}

TEST_CASE("functions: cancel takes back what has not started and tells which one has") {
  Bench bench;
  std::uint64_t inside = 9;
  bench.push(1, [&](HostArgs&) {
    const auto back = bench.queue.cancel({1, 0}, inside);
    CHECK(back.size() == 2);
    CHECK(bench.queue.current() == "f1");
    CHECK(bench.queue.still_inside(inside) == "f1");
    CHECK(bench.queue.still_inside(inside + 1).empty());
    bench.queue.stop();
  });
  bench.push(2, [](HostArgs&) { FAIL("was cancelled"); });
  bench.push(3, [](HostArgs&) { FAIL("was cancelled"); });
  std::thread thread([&] { bench.queue.work(); });
  thread.join();
  CHECK(inside == 1);
  // Another run's cancel means nobody here.
  CHECK(bench.queue.cancel({2, 0}, inside).empty());
  CHECK(inside == 0);
}

// A function that went on past its task's deadline and then returned used to be told as done: the task
// counted as successful, and what depends on it ran.
TEST_CASE("functions: one that is given up while it runs has not been done, and nothing follows it") {
  Bench bench;
  std::string ran;
  std::uint64_t inside = 0;
  bench.push(1, [&](HostArgs&) {
    ran += "1";
    CHECK(bench.queue.cancel({1, 1}, inside).empty());
    CHECK(inside == 1);
  });
  bench.push(2, [&](HostArgs&) { ran += "2"; }, {1});
  bench.push(3, [&](HostArgs&) { ran += "3"; });
  bench.queue.drain();
  CHECK(ran == "13");
  const auto results = bench.queue.take_results();
  REQUIRE(results.size() == 3);
  CHECK(results[0].outcome == Outcome::cancelled);
  CHECK(results[1].outcome == Outcome::skipped);
  CHECK(results[2].outcome == Outcome::done);
}

TEST_CASE("functions: nothing follows one that was given up before it began") {
  Bench bench;
  std::string ran;
  std::uint64_t inside = 0;
  bench.push(1, [&](HostArgs&) { ran += "1"; });
  bench.push(2, [&](HostArgs&) { ran += "2"; }, {1});
  CHECK(bench.queue.cancel({1, 1}, inside).size() == 1);
  CHECK(inside == 0);
  bench.queue.drain();
  CHECK(ran.empty());
  const auto results = bench.queue.take_results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].outcome == Outcome::skipped);
}
