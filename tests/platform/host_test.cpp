#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/manual_host.hpp"

using namespace troupe::platform;

namespace {

/// A C callback from a lambda, for one call.
template <class Function>
struct Posted {
  Function function;
  static void task(void* arg, std::int32_t cancelled) {
    const std::unique_ptr<Posted> self{static_cast<Posted*>(arg)};
    self->function(cancelled != 0);
  }
};
template <class Function>
void post(Host& host, std::uint64_t delay, Function function) {
  REQUIRE(host.post(delay, &Posted<Function>::task, new Posted<Function>{std::move(function)}));
}

}  // namespace

TEST_CASE("a manual host runs what was posted by due time, then by order of posting") {
  ManualHost host;
  std::vector<int> order;
  post(host, 20, [&](bool) { order.push_back(3); });
  post(host, 10, [&](bool) {
    order.push_back(1);
    post(host, 5, [&](bool) { order.push_back(9); });  // due at 15
  });
  post(host, 10, [&](bool) { order.push_back(2); });
  CHECK(host.next_due() == 10);
  CHECK(host.advance(9) == 0);
  CHECK(host.now() == 9);
  CHECK(host.advance(1) == 2);
  CHECK(host.run() == 2);
  CHECK(order == std::vector<int>{1, 2, 9, 3});
  CHECK(host.now() == 20);
  CHECK(!host.step());
}

TEST_CASE("a manual host that ends first cancels what was posted") {
  int cancelled = 0;
  {
    ManualHost host;
    post(host, 0, [&](bool was) { cancelled += was; });
    CHECK(!host.start_thread(
        "none", [](void*) {}, nullptr));
  }
  CHECK(cancelled == 1);
}

TEST_CASE("host threads run posted tasks in order of their due time") {
  HostThreads host;
  std::promise<std::vector<int>> done;
  std::vector<int> order;  // only the timer thread touches it
  post(host, 30'000'000, [&](bool) {
    order.push_back(3);
    done.set_value(order);
  });
  post(host, 1'000'000, [&](bool) { order.push_back(2); });
  post(host, 0, [&](bool) { order.push_back(1); });
  CHECK(done.get_future().get() == std::vector<int>{1, 2, 3});
}

TEST_CASE("host threads that end first cancel what is posted") {
  std::atomic<int> cancelled = 0;
  {
    HostThreads host;
    post(host, 3'600'000'000'000, [&](bool was) { cancelled += was; });
  }
  CHECK(cancelled == 1);
}

TEST_CASE("a thread that has nothing to do is used again") {
  HostThreads host;
  for (int i = 0; i < 20; ++i) {
    std::promise<void> ran;
    REQUIRE(host.start_thread(
        "worker", [](void* arg) { static_cast<std::promise<void>*>(arg)->set_value(); }, &ran));
    ran.get_future().wait();
    while (host.busy_threads() != 0)
      std::this_thread::yield();  // the body is back, the thread not yet parked
  }
  CHECK(host.threads_started() == 1);
}

TEST_CASE("bodies have their threads for themselves, as many as were asked for") {
  constexpr int count = 16;
  struct Meeting {
    std::atomic<int> arrived = 0;
    std::promise<void> all;
    std::shared_future<void> everybody = all.get_future().share();
  } meeting;
  HostThreads host{2};  // after what its threads use: its end waits for them
  for (int i = 0; i < count; ++i) {
    REQUIRE(host.start_thread(
        "rank",
        [](void* arg) {
          auto& m = *static_cast<Meeting*>(arg);
          if (++m.arrived == count) m.all.set_value();
          m.everybody.wait();  // returns only when all run at the same time
        },
        &meeting));
  }
  meeting.everybody.wait();
  CHECK(host.threads_started() == count);
}

TEST_CASE("a host with threads ends in a child of fork, too, which has none of them") {
  auto host = std::make_shared<HostThreads>();
  std::promise<void> ran;
  post(*host, 0, [&](bool) { ran.set_value(); });
  ran.get_future().wait();
  const pid_t child = fork();
  if (child == 0) {
    host.reset();
    _exit(7);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("a quarantined context is kept until its retry succeeds") {
  ManualHost host;
  int tries = 0;
  host.quarantine([&] { return ++tries == 3; });
  CHECK(host.quarantined() == 1);
  CHECK(host.sweep_quarantine() == 1);
  CHECK(host.sweep_quarantine() == 1);
  CHECK(host.sweep_quarantine() == 0);
  CHECK(tries == 3);
}
