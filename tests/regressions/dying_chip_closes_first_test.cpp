// A chip that dies while its reset closes the device has to close it before its tasks are answered.
//
// What went wrong: a reset gives the device away to be closed on another thread, and an actor that died
// meanwhile had no device any more; so it said its last word at once. Its worker believed that nothing of the
// chip was left, answered its tasks as lost and started the next life, while kernels of the old one were
// still writing into memory that by then belonged to somebody else.
//
// What is promised: the last word of a chip comes when the last device it had has been closed, whoever closes
// it.
#include <doctest/doctest.h>

#include <caf/scoped_actor.hpp>
#include <latch>

#include "troupe/actors/own_actors.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

/// The scripted chip's own; a table of C functions has no other place for it.
decltype(&::destroy_device_context) original = nullptr;
std::latch running(1), closing(1), may_close(1);

std::int32_t slow_to_close(troupe_device_context* context) {
  closing.count_down();
  may_close.wait();
  return original(context);
}

}  // namespace

TEST_CASE("a chip that dies while it is reset says its last word when the old device is closed") {
  platform::ScriptedChip script;
  script.on("wait", [](auto& call) {
    running.count_down();
    call.waits();
  });
  SystemConfig quiet;
  quiet.log = [](int, std::string_view, std::string_view) {};
  System system(quiet);
  NodeConfig config;
  config.device = [script](int, std::uint32_t life) {
    auto api = script.api();
    original = api.destroy_device_context;
    if (life == 0) api.destroy_device_context = slow_to_close;
    return Result<platform::DeviceApi>(api);
  };
  const Node node = system.node(config);
  node.add_kernel("wait");
  auto x = node.tensor<float>({4});
  const auto handle = node.submit([](Orchestrator& n, Tensor a) { n.submit("wait", inout(a)); }, x);

  caf::scoped_actor self(actor_system(system));
  const auto top = worker(node);
  Chip chip;
  self->request(top, caf::infinite, ChipOf{0})
      .receive([&](Result<ChipAccess>& found) { chip = found.value().chip; }, [](const caf::error&) {});
  REQUIRE(chip);
  self->monitor(chip);
  running.wait();  // a task that comes later would belong to the next life
  auto reset = self->request(top, caf::infinite, ResetExecutor{0});
  closing.wait();
  self->send_exit(chip, caf::exit_reason::kill);
  self->receive([](const caf::down_msg&) {});
  // The actor is gone, its device is not: the next life waits.
  CHECK(node.status().children[0].restarts == 1);
  CHECK_FALSE(handle.done());
  may_close.count_down();
  bool up = false;
  reset.receive([&](Result<bool>& answer) { up = static_cast<bool>(answer); }, [](const caf::error&) {});
  CHECK(up);
  const auto ended = handle.result();
  REQUIRE_FALSE(ended);
  CHECK(ended.error() == Errc::chip_lost);
  CHECK(node.status().children[0].restarts == 2);
  chip = nullptr;
}
