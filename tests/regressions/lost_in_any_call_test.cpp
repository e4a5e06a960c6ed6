// A device that is lost says so first in whatever call comes next: a launch, a copy, an allocation, a
// callable that is registered. Only launches and copies were understood. A task whose kernel was to be
// registered just as its chip's process was killed failed with `task_failed`, which no retry survives when
// each comes to the same dead device; one that needed memory was told that there is no room. Now every answer
// of a device goes the same way: who waits for the chip is answered by the chip's end.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;

namespace {

enum class Call { malloc, copy_to, copy_from, add_kernel, link_in, launch };

/// The call in which the device is lost next, once; plain functions of a device look there.
std::atomic<int> lost_in = -1;

template <Call call>
bool is_lost() {
  int expected = static_cast<int>(call);
  return lost_in.compare_exchange_strong(expected, -1);
}

NodeConfig losing(const platform::ScriptedChip& script) {
  static const auto scripted = script.api();
  NodeConfig config;
  config.restart = {.restarts = 1000, .within = std::chrono::seconds(1)};
  config.device = [script](int, std::uint32_t) {
    auto api = script.api();
    api.device_malloc_ctx = [](troupe_device_context* context, std::uint64_t bytes, std::uint64_t* address) {
      return is_lost<Call::malloc>() ? TROUPE_DEVICE_LOST
                                     : scripted.device_malloc_ctx(context, bytes, address);
    };
    api.copy_to_device_ctx = [](troupe_device_context* context, std::uint64_t to, const void* from,
                                std::uint64_t bytes) {
      return is_lost<Call::copy_to>() ? TROUPE_DEVICE_LOST
                                      : scripted.copy_to_device_ctx(context, to, from, bytes);
    };
    api.copy_from_device_ctx = [](troupe_device_context* context, void* to, std::uint64_t from,
                                  std::uint64_t bytes) {
      return is_lost<Call::copy_from>() ? TROUPE_DEVICE_LOST
                                        : scripted.copy_from_device_ctx(context, to, from, bytes);
    };
    api.register_callable = [](troupe_device_context* context, const troupe_callable* callable,
                               std::uint64_t* id) {
      const bool lost = callable->byte_count > 0 ? is_lost<Call::link_in>() : is_lost<Call::add_kernel>();
      return lost ? TROUPE_DEVICE_LOST : scripted.register_callable(context, callable, id);
    };
    api.launch_runs = [](troupe_device_context* context, const troupe_run* runs, std::size_t count,
                         std::uint64_t oldest) {
      return is_lost<Call::launch>() ? TROUPE_DEVICE_LOST
                                     : scripted.launch_runs(context, runs, count, oldest);
    };
    return Result<platform::DeviceApi>(std::move(api));
  };
  return config;
}

struct Losing {
  Losing() : system({.log = [](int, std::string_view, std::string_view) {}}) {
    for (const char* kernel : {"step", "linked"})
      script.on(kernel, [](auto& call) {
        call.template tensor<float>(1)[0] = call.template tensor<float>(0)[0] + 1;
      });
    node.emplace(system.node(losing(script)));
    node->add_kernel("step");
    node->add_kernel("linked", {1, 2, 3});
  }
  platform::ScriptedChip script;
  System system;
  std::optional<Node> node;
};

const char* kernel_for(Call call) { return call == Call::link_in ? "linked" : "step"; }

}  // namespace

TEST_CASE("a device that is lost in any call costs a task that may be tried again one try") {
  for (const auto call : {Call::malloc, Call::copy_to, Call::add_kernel, Call::link_in, Call::launch}) {
    CAPTURE(static_cast<int>(call));
    Losing losing;
    auto& node = *losing.node;
    auto x = node.tensor<float>({1}), y = node.tensor<float>({1});
    lost_in = static_cast<int>(call);
    node.run(
        [&](Orchestrator& n, Tensor a, Tensor b) { n.submit(kernel_for(call), in(a), out(b), retry(1)); }, x,
        y);
    CHECK(lost_in == -1);
    CHECK(y.host<const float>()[0] == 1.0F);
    CHECK(node.status().children[0].restarts == 1);
  }
}

TEST_CASE("a task that may not be tried again is told that its chip is lost, whatever call said so") {
  for (const auto call : {Call::malloc, Call::copy_to, Call::add_kernel, Call::link_in, Call::launch}) {
    CAPTURE(static_cast<int>(call));
    Losing losing;
    auto& node = *losing.node;
    auto x = node.tensor<float>({1});
    lost_in = static_cast<int>(call);
    const auto error = error_of(
        [&] { node.run([&](Orchestrator& n, Tensor a) { n.submit(kernel_for(call), inout(a)); }, x); });
    REQUIRE(error);
    CHECK_MESSAGE(*error == Errc::chip_lost, render(*error));
    CHECK(lost_in == -1);
  }
}

TEST_CASE("memory asked for by hand on a device that is lost is an error of the chip") {
  Losing losing;
  lost_in = static_cast<int>(Call::malloc);
  const auto error = error_of([&] { (void)losing.node->chip(0).malloc<float>({4}); });
  REQUIRE(error);
  CHECK_MESSAGE(*error == Errc::chip_lost, render(*error));
}

TEST_CASE("bytes that only a device had, which is lost as they are stored, are lost by name") {
  Losing losing;
  auto x = losing.node->tensor<float>({1}), y = losing.node->tensor<float>({1});
  losing.node->run([](Orchestrator& n, Tensor a, Tensor b) { n.submit("step", in(a), out(b)); }, x, y);
  lost_in = static_cast<int>(Call::copy_from);
  const auto error = error_of([&] { (void)y.host<const float>()[0]; });
  REQUIRE(error);
  CHECK_MESSAGE(*error == Errc::data_lost, render(*error));
  CHECK(lost_in == -1);
}
