// A node of a pod that died of a bug was taken for gone at once: its programs were answered, and its next
// life opened the same devices, while those of the old one were still being closed and could write what their
// kernels wrote. Promised now: a worker says its last word, as a chip does, when the last device below it has
// been closed; the level above waits for it.
#include <doctest/doctest.h>

#include <caf/scoped_actor.hpp>
#include <latch>

#include "system/core.hpp"
#include "troupe/testing.hpp"
#include "worker/worker.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

/// The scripted chip's own; a table of C functions has no other place for it.
decltype(&::destroy_device_context) original = nullptr;
std::latch closing(1), may_close(1);

std::int32_t slow_to_close(troupe_device_context* context) {
  closing.count_down();
  may_close.wait();
  return original(context);
}

}  // namespace

TEST_CASE("a worker that dies says its last word when its devices are closed") {
  platform::ScriptedChip script;
  System system({.log_level = 0});
  NodeConfig config;
  config.device = [script](int, std::uint32_t) {
    auto api = script.api();
    original = api.destroy_device_context;
    api.destroy_device_context = slow_to_close;
    return Result<platform::DeviceApi>(api);
  };
  auto& core = SystemAccess::core(system);
  const auto below = to_worker(config);
  {
    caf::scoped_actor above(core.actors);
    auto node = spawn_worker(
        core.actors, core.services, below,
        make_shared_of(*below, core.services, core.pumps, std::make_shared<HostMemory>(), nullptr), 7,
        caf::actor_cast<ResultSink>(caf::actor_cast<caf::strong_actor_ptr>(above)));
    bool up = false;
    above->request(node, caf::infinite, StartWorker{})
        .receive([&](Result<bool>& answer) { up = answer.has_value(); }, [](const caf::error&) {});
    REQUIRE(up);
    above->monitor(node);
    above->send_exit(node, caf::exit_reason::kill);
    above->receive([](const caf::down_msg&) {});
    closing.wait();
    CHECK_FALSE(above->has_next_message());
    may_close.count_down();
    above->receive([&](Results& last) {
      CHECK(last.gone == node.id());
      CHECK(last.executor == 7);
      CHECK(last.results.empty());
    });
  }
}
