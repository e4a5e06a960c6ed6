#include "engine/ops.hpp"

#include "engine/engine.hpp"
#include "tasks/tasks.hpp"

namespace troupe::platform::sim {

namespace {

// The border to the user's module: what goes wrong in here ends the run, and no exception crosses.
template <class Body>
auto guarded(void* self, Body body) noexcept -> decltype(body(*static_cast<ChipEngine*>(self))) {
  auto& engine = *static_cast<ChipEngine*>(self);
  try {
    return body(engine);
  } catch (...) {
    engine.fail(outcome_of_thrown("the simulator failed in a chip program"));
  }
  return decltype(body(engine))();
}

std::uint64_t submit(void* self, troupe_chip_task_v1* task) {
  return guarded(self, [&](ChipEngine& engine) { return engine.submit(*task); });
}
void edge(void* self, std::uint64_t before, std::uint64_t after) {
  guarded(self, [&](ChipEngine& engine) { engine.edge(before, after); });
}
void begin_scope(void* self) {
  guarded(self, [](ChipEngine& engine) { engine.begin_scope(); });
}
void end_scope(void* self) {
  guarded(self, [](ChipEngine& engine) { engine.end_scope(); });
}
void alloc(void* self, troupe_chip_argument_v1* argument) {
  guarded(self, [&](ChipEngine& engine) { engine.alloc(*argument); });
}
void get(void* self, const troupe_chip_tensor_v1* tensor, std::uint64_t element, std::uint64_t* value) {
  *value = guarded(self, [&](ChipEngine& engine) { return engine.get(unpack(*tensor), element); });
}
void set(void* self, const troupe_chip_tensor_v1* tensor, std::uint64_t element, std::uint64_t value) {
  guarded(self, [&](ChipEngine& engine) { engine.set(unpack(*tensor), element, value); });
}
void report_fatal(void* self, std::int32_t code, const char* text) {
  guarded(self, [&](ChipEngine& engine) {
    const auto known = static_cast<runtime::Errc>(code);
    engine.fail(
        Error(ErrorCode{code, error_name(known)}, text != nullptr ? text : "reported by the chip program"));
  });
}
std::int32_t fatal(void* self) { return static_cast<ChipEngine*>(self)->fatal(); }
std::int32_t begin_graph(void* self, const troupe_chip_graph_v1* graph) {
  return guarded(self, [&](ChipEngine& engine) { return engine.begin_graph(*graph) ? 1 : 0; });
}
void end_graph(void* self, std::int32_t complete) {
  guarded(self, [&](ChipEngine& engine) { engine.end_graph(complete != 0); });
}
void log(void* self, std::int32_t level, const char* text) {
  guarded(self, [&](ChipEngine& engine) { engine.log(level, text); });
}

}  // namespace

troupe_chip_ops_v1 chip_ops(std::uint32_t chip_runtime) noexcept {
  return {sizeof(troupe_chip_ops_v1),
          chip_runtime,
          &submit,
          &edge,
          &begin_scope,
          &end_scope,
          &alloc,
          &get,
          &set,
          &report_fatal,
          &fatal,
          &log,
          &begin_graph,
          &end_graph};
}

}  // namespace troupe::platform::sim
