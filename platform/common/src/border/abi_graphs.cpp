// The functions of the device ABI that take graphs. What each one promises stands in device_abi.h.

#include "border/abi_guard.hpp"

using namespace troupe;
using namespace troupe::platform;
using namespace troupe::platform::common;

extern "C" {

int32_t register_graph(troupe_device_context* context, const troupe_graph* graph, uint64_t* id) {
  return on_device(context, "register_graph", [&](Chip& chip) -> Result<void> {
    if (graph == nullptr) return null_argument("graph");
    if (id == nullptr) return null_argument("id");
    if (auto sound = check_graph(*graph); !sound) return sound;
    auto added = chip.add_graph(*graph);
    if (!added) return added.error();
    *id = *added;
    return {};
  });
}

int32_t launch_graph(troupe_device_context* context, const troupe_run* run, uint64_t settled) {
  return on_device(context, "launch_graph", [&](Chip& chip) -> Result<void> {
    if (run == nullptr) return null_argument("run");
    return chip.launch_graph(*run, settled);
  });
}

int32_t unregister_graph(troupe_device_context* context, uint64_t id) {
  return on_device(context, "unregister_graph",
                   [&](Chip& chip) { return chip.callables().remove_graph(id); });
}
}
