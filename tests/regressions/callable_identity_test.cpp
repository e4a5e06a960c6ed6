// The wrong kernel ran, silently. A chip remembered by the address of a callable what its device calls it. A
// callable that came with a submit and had gone left its place to the next one, which then ran as the old
// one.
//
// Promised now: a callable is what it is (its code under its name), not where it lies. One that came with a
// submit leaves the device when its last holder has let go of it.
#include <doctest/doctest.h>

#include <new>

#include "chip/state.hpp"
#include "support/bring_up.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

/// Room for one callable: whoever is made in it has the same address.
class Place {
 public:
  CallableRef make(const char* name, std::vector<std::uint8_t> bytes = {}) {
    auto* made = new (room_) Callable;
    made->name = name;
    made->bytes = std::move(bytes);
    return CallableRef(made, [](const Callable* callable) { callable->~Callable(); });
  }

 private:
  alignas(Callable) std::byte room_[sizeof(Callable)];
};

struct Bench {
  Bench() {
    ChipConfig config;
    config.device = [this](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
    state.emplace(config, ChipIdentity{"chip0", 0, 0}, host);
    for (const char* name : {"first", "second", "step"}) {
      script.on(name, [this, name](auto&) { ran += (ran.empty() ? "" : " ") + std::string(name); });
    }
    REQUIRE(test::bring_up(*state, done, host));
  }
  void run(CallableRef callable) {
    TaskRequest request;
    request.key = {1, ++tasks, 0, 0};
    request.body = std::make_shared<TaskBody>();
    request.body->callable = callable.get();
    request.body->extras = std::make_shared<SubmitExtras>();
    request.body->extras->owned = std::move(callable);
    std::vector<TaskRequest> requests;
    requests.push_back(std::move(request));
    CHECK(state->execute(requests).empty());
  }
  void turn() {
    host->run();
    for (const auto& result : state->ended(std::exchange(done, {}))) CHECK(result.outcome == Outcome::done);
  }
  /// Links in what is asked for; returns under which name, or nothing.
  std::string link() {
    const auto order = state->to_link();
    if (!order) return "";
    names.push_back(order->name);
    ObjectLinked news{order->key, 0,
                      register_object(state->device()->context, order->name, order->callable->bytes,
                                      order->callable->core_kind)};
    std::vector<TaskResult> out;
    state->linked(news, out);
    CHECK(out.empty());
    return order->name;
  }

  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  platform::ScriptedChip script;
  DeviceDone done;
  std::optional<ChipState> state;
  TaskNumber tasks = 0;
  std::string ran;
  std::vector<std::string> names;
};

}  // namespace

TEST_CASE("a callable where another one was is not taken for it") {
  Bench bench;
  Place place;
  bench.run(place.make("first"));
  bench.turn();
  bench.run(place.make("second"));
  bench.turn();
  CHECK(bench.ran == "first second");
}

TEST_CASE("another object of the same name, where one was, is linked in, the one before leaves the device") {
  Bench bench;
  Place place;
  bench.run(place.make("step", {1}));
  const auto first = bench.link();
  bench.turn();
  bench.run(place.make("step", {2}));
  const auto second = bench.link();
  bench.turn();
  CHECK(bench.ran == "step step");
  CHECK(first != "");
  CHECK(second != "");
  CHECK(first != second);
  CHECK(bench.state->to_unlink().size() == 1);
}

TEST_CASE("the same object, made anew, is not linked in again") {
  Bench bench;
  Place one, other;
  bench.run(one.make("step", {1}));
  CHECK(bench.link() != "");
  bench.turn();
  bench.run(other.make("step", {1}));
  CHECK(bench.link() == "");
  bench.turn();
  CHECK(bench.ran == "step step");
}

TEST_CASE("two objects of one name that came with submits live side by side") {
  Bench bench;
  Place one, other;
  const auto a = one.make("step", {1}), b = other.make("step", {2});
  bench.run(a);
  bench.run(b);
  CHECK(bench.link() != "");
  CHECK(bench.link() != "");
  bench.turn();
  CHECK(bench.ran == "step step");
  CHECK(bench.state->to_unlink().empty());
}
