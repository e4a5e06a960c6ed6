#include <numeric>
#include <string>
#include <vector>

#include "platform/conformance/graph_description.hpp"
#include "platform/conformance/rules.hpp"

// The optional part of the ABI that takes graphs of runs.
namespace troupe::conformance {

namespace {

using platform::RunArgs;
using runtime::DType;
using runtime::Tag;
using runtime::Tensor;

constexpr std::uint32_t edge = 8, elements = edge * edge;
constexpr std::uint64_t bytes = elements * sizeof(float);

/// z = x + r + 1, by way of y: a copy, a task that adds, one that adds to the lower half, one that copies.
struct Adding {
  explicit Adding(Subject& s) : copy(s.kernel("conformance_copy")), add(s.kernel("conformance_add_scalar")) {
    const auto flat = [](Tag tag) { return on_device(0, bytes, tag, DType::f32); };
    const auto x = what.slot(flat(Tag::in), 1), z = what.slot(flat(Tag::out), 2),
               y = what.slot(flat(Tag::inout), 3);
    what.task(copy, "takes");
    what.view(x, Tag::in);
    what.view(y, Tag::out);
    for (const std::uint32_t half : {0u, 1u}) {
      what.task(add, half == 0 ? "adds above" : "adds below", {0});
      auto& view = what.view(y, Tag::inout);
      view.ndims = 2;
      view.offset = half * bytes / 2;
      view.shape[0] = edge / 2;
      view.shape[1] = edge;
      view.strides[0] = edge;
      view.strides[1] = 1;
      what.scalar_slot(0);
    }
    what.task(add, "adds one", {1, 2});
    auto& all = what.view(y, Tag::inout);
    all.ndims = 2;
    all.shape[0] = all.shape[1] = edge;
    all.strides[0] = edge;
    all.strides[1] = 1;
    what.scalar(1.0f);
    what.task(copy, "gives", {3});
    what.view(y, Tag::in);
    what.view(z, Tag::out);
  }
  std::uint64_t copy, add;
  Description what;
};

void have_graphs(const Probe& probe) {
  const auto& api = probe.api();
  require(api.register_graph != nullptr && api.launch_graph != nullptr && api.unregister_graph != nullptr,
          "the library promises graphs, and lacks register_graph, launch_graph or unregister_graph");
}

std::uint64_t registered(Subject& s, const troupe_graph& graph) {
  std::uint64_t id = 0;
  s.expect(0, "register_graph", s.api().register_graph, &graph, &id);
  require(id != 0, "a graph has the id 0");
  return id;
}

void launch(Subject& s, const troupe_run& run) {
  s.expect(0, "launch_graph", s.api().launch_graph, &run, std::uint64_t{0});
}

/// x, z and y in memory of the host or of the device.
struct Data {
  std::vector<float> x = std::vector<float>(elements), z = std::vector<float>(elements, -1.0f),
                     y = std::vector<float>(elements, -2.0f);
  explicit Data(float first) { std::iota(x.begin(), x.end(), first); }
  RunArgs args(float r) {
    return RunArgs::of(in(Tensor::host(x.data(), {elements})), out(Tensor::host(z.data(), {elements})),
                       inout(Tensor::host(y.data(), {elements})), runtime::scalar(r));
  }
  void require_added(float r) const {
    for (std::size_t i = 0; i < elements; ++i)
      require(z[i] == x[i] + r + 1.0f, "a launch of a graph gave a wrong result");
  }
};

void graphs_run(Probe& probe) {
  have_graphs(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  const Adding adding(s);
  const auto id = registered(s, adding.what.graph());
  Data first(0.0f), second(100.0f);
  const auto args = first.args(2.0f);
  auto again = second.args(-5.0f);
  again.after(7);
  launch(s, args.run(7, id));
  launch(s, again.run(8, id));
  const auto ends = s.wait_for(2);
  require(ends[0].correlation == 7 && ends[1].correlation == 8, "launches of graphs ended out of order");
  for (const auto& end : ends) require(end.code == 0, "a launch of a graph failed: " + end.message);
  first.require_added(2.0f);
  second.require_added(-5.0f);
  // In memory of the device, behind and before runs.
  const auto x = s.malloc(bytes), y = s.malloc(bytes), z = s.malloc(bytes), w = s.malloc(bytes);
  const auto on = [](std::uint64_t at, Tag tag) { return on_device(at, bytes, tag, DType::f32); };
  s.expect(0, "copy_to_device_ctx", s.api().copy_to_device_ctx, w, static_cast<const void*>(first.x.data()),
           bytes);
  const auto before = RunArgs::of(on(w, Tag::in), on(x, Tag::out));
  auto middle = RunArgs::of(on(x, Tag::in), on(z, Tag::out), on(y, Tag::inout), runtime::scalar(3.0f));
  auto after = RunArgs::of(on(z, Tag::in), on(w, Tag::out));
  middle.after(10);
  after.after(11);
  s.launch({before.run(10, adding.copy)});
  launch(s, middle.run(11, id));
  s.launch({after.run(12, adding.copy)});
  for (const auto& end : s.wait_for(5)) require(end.code == 0, "a run failed: " + end.message);
  s.expect(0, "copy_from_device_ctx", s.api().copy_from_device_ctx, static_cast<void*>(first.z.data()), w,
           bytes);
  first.require_added(3.0f);
}

void graphs_are_checked(Probe& probe) {
  have_graphs(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  const Adding good(s);
  const auto refused = [&](const char* why, auto change, std::int32_t code = TROUPE_DEVICE_INVALID_ARGUMENT) {
    Description what = good.what;
    auto graph = what.graph();
    change(what, graph);
    std::uint64_t id = 0;
    s.expect(code, std::string("register_graph of a graph with ") + why, s.api().register_graph,
             static_cast<const troupe_graph*>(&graph), &id);
  };
  refused("no tasks where some are counted", [](auto&, auto& graph) { graph.tasks = nullptr; });
  refused("unknown flags", [](auto&, auto& graph) { graph.flags = 1u << 31; });
  refused("too small a size", [](auto&, auto& graph) { graph.size = 8; });
  refused("a producer that comes later", [](auto& what, auto&) { what.producers_.back() = 4; });
  refused("entries that belong to no task", [](auto&, auto& graph) { --graph.task_count; });
  refused("too few tensors", [](auto&, auto& graph) { --graph.tensor_count; });
  refused("a view outside of its slot", [](auto& what, auto&) { what.tensors_[2].offset += bytes; });
  refused("a view between two elements", [](auto& what, auto&) { what.tensors_[2].offset += 2; });
  refused("a view larger than any memory",
          [](auto& what, auto&) { what.tensors_[2].shape[0] = what.tensors_[2].strides[0] = ~0u; });
  refused("a slot that is none", [](auto& what, auto&) { what.tensors_[0].slot = 77; });
  refused("a scalar slot that is none", [](auto& what, auto&) { what.scalars_[0].slot = 77; });
  refused("a task that writes what is only read",
          [](auto& what, auto&) { what.tensors_[0].tag = TROUPE_TAG_INOUT; });
  refused("an unknown element type", [](auto& what, auto&) { what.slots_[0].dtype = 99; });
  refused(
      "an unknown callable", [](auto& what, auto&) { what.tasks_[1].callable = 999'999; },
      TROUPE_DEVICE_UNKNOWN_CALLABLE);
  std::uint64_t id = 0;
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "register_graph of null", s.api().register_graph,
           static_cast<const troupe_graph*>(nullptr), &id);
  s.expect(TROUPE_DEVICE_INVALID_ARGUMENT, "launch_graph of null", s.api().launch_graph,
           static_cast<const troupe_run*>(nullptr), std::uint64_t{0});
}

void slots_are_checked(Probe& probe) {
  have_graphs(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  const Adding adding(s);
  const auto id = registered(s, adding.what.graph());
  const auto x = s.malloc(bytes), y = s.malloc(2 * bytes), z = s.malloc(bytes);
  const auto on = [](std::uint64_t at, Tag tag) { return on_device(at, bytes, tag, DType::f32); };
  const auto r = runtime::scalar(1.0f);
  std::uint64_t correlation = 0;
  const auto ends_with = [&](std::int32_t code, const char* why, const RunArgs& args) {
    launch(s, args.run(++correlation, id));
    const auto end = s.wait_for(correlation).back();
    require(end.code == code, std::string("a launch of a graph with ") + why + " ended with " +
                                  name_of_code(end.code) + " instead of " + name_of_code(code));
    require(code == 0 || !end.message.empty(), std::string("a launch with ") + why + " gave no reason");
  };
  auto wider = on(y, Tag::inout);
  wider.buffer_bytes = 2 * bytes;
  wider.shape[0] = elements + 1;
  auto spread = on(y, Tag::inout);
  spread.buffer_bytes = 2 * bytes;
  spread.strides[0] = 2;
  auto other_type = on(y, Tag::inout);
  other_type.dtype = static_cast<std::uint8_t>(DType::i32);
  const auto bad = TROUPE_DEVICE_BAD_TASK_ARGUMENTS;
  ends_with(bad, "a tensor too few", RunArgs::of(on(x, Tag::in), on(z, Tag::out), r));
  ends_with(bad, "a scalar too many", RunArgs::of(on(x, Tag::in), on(z, Tag::out), on(y, Tag::inout), r, r));
  ends_with(bad, "another shape", RunArgs::of(on(x, Tag::in), on(z, Tag::out), wider, r));
  ends_with(bad, "other strides", RunArgs::of(on(x, Tag::in), on(z, Tag::out), spread, r));
  ends_with(bad, "another type", RunArgs::of(on(x, Tag::in), on(z, Tag::out), other_type, r));
  ends_with(bad, "another tag", RunArgs::of(on(x, Tag::in), on(z, Tag::inout), on(y, Tag::inout), r));
  ends_with(bad, "slots that share bytes",
            RunArgs::of(on(x, Tag::in), on(x, Tag::out), on(y, Tag::inout), r));
  ends_with(0, "what fits", RunArgs::of(on(x, Tag::in), on(z, Tag::out), on(y, Tag::inout), r));
  s.expect(0, "device_free_ctx", s.api().device_free_ctx, x);
  launch(s, RunArgs::of(on(x, Tag::in), on(z, Tag::out), on(y, Tag::inout), r).run(++correlation, id));
  require(s.wait_for(correlation).back().code != 0, "a graph was launched with memory that has been freed");
}

void graphs_fail(Probe& probe) {
  have_graphs(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  Adding adding(s);
  adding.what.tasks_[3].callable = s.kernel("conformance_fail");
  adding.what.tasks_[3].name = "the one that fails";
  const auto id = registered(s, adding.what.graph());
  Data data(0.0f);
  const auto args = data.args(1.0f);
  auto dependent = data.args(1.0f);
  dependent.after(1);
  launch(s, args.run(1, id));
  launch(s, dependent.run(2, id));
  const auto ends = s.wait_for(2);
  require(ends[0].code == TROUPE_DEVICE_KERNEL_FAILED,
          "a graph with a kernel that fails ended with " + name_of_code(ends[0].code));
  require(ends[0].message.find("the one that fails") != std::string::npos,
          "the failure of a graph does not name the task: " + ends[0].message);
  require(ends[1].code == TROUPE_DEVICE_POISONED && ends[1].caused_by == 1,
          "what depends on a failed graph ended with " + name_of_code(ends[1].code));
  require(data.z == std::vector<float>(elements, -1.0f) && data.y == std::vector<float>(elements, -2.0f),
          "an output of a failed graph was copied back");
}

void graphs_are_aborted(Probe& probe) {
  have_graphs(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  // One that goes on until it is aborted, and one behind it.
  Description endless;
  const auto flag = endless.slot(on_device(0, 64, Tag::inout, DType::i32), 1);
  endless.task(s.kernel("conformance_until_aborted"), "goes on");
  endless.view(flag, Tag::in);
  endless.task(s.kernel("conformance_blocks"), "comes after", {0});
  endless.view(flag, Tag::inout);
  const auto goes_on = registered(s, endless.graph());
  const auto memory = s.malloc(64);
  const std::vector<std::int32_t> zero(16);
  s.expect(0, "copy_to_device_ctx", s.api().copy_to_device_ctx, memory, static_cast<const void*>(zero.data()),
           std::uint64_t{64});
  const auto waits = RunArgs::of(on_device(memory, 64, Tag::inout, DType::i32));
  launch(s, waits.run(1, goes_on));
  s.wait_busy(1);
  s.expect(TROUPE_DEVICE_BUSY, "device_free_ctx of what a graph uses", s.api().device_free_ctx, memory);
  s.expect(0, "abort_runs", s.api().abort_runs, std::uint64_t{1});
  const auto ends = s.wait_for(1);
  require(ends[0].code == TROUPE_DEVICE_ABORTED,
          "a graph that was aborted ended with " + name_of_code(ends[0].code));
  std::vector<std::int32_t> back(16, -1);
  s.expect(0, "copy_from_device_ctx", s.api().copy_from_device_ctx, static_cast<void*>(back.data()), memory,
           std::uint64_t{64});
  require(back == zero, "a task of an aborted graph began after the abort");
}

void graphs_are_unregistered(Probe& probe) {
  have_graphs(probe);
  const auto subject = probe.ready();
  auto& s = *subject;
  const Adding adding(s);
  const auto id = registered(s, adding.what.graph());
  // The graph has its kernels.
  for (const auto callable : {adding.copy, adding.add})
    s.expect(0, "unregister_callable", s.api().unregister_callable, callable);
  Data data(1.0f);
  const auto args = data.args(4.0f);
  launch(s, args.run(1, id));
  s.expect(0, "unregister_graph", s.api().unregister_graph, id);
  launch(s, args.run(2, id));
  s.launch({args.run(3, id)});
  // Where runs overlap, those that are refused may end first.
  for (const auto& end : s.wait_for(3)) {
    if (end.correlation == 1) {
      require(end.code == 0, "a graph that was launched before it was unregistered failed: " + end.message);
    } else {
      require(end.code == TROUPE_DEVICE_UNKNOWN_CALLABLE,
              "a graph that is not registered ended with " + name_of_code(end.code));
    }
  }
  data.require_added(4.0f);
  s.expect(TROUPE_DEVICE_UNKNOWN_CALLABLE, "unregister_graph, again", s.api().unregister_graph, id);
}

}  // namespace

std::vector<Rule> graph_rules() {
  return {
      {"graphs", "a graph runs as its tasks would, with what each launch gives, in the order of the runs",
       graphs_run, TROUPE_FEATURE_GRAPHS},
      {"graph-descriptions", "a graph that is none is refused when it is registered", graphs_are_checked,
       TROUPE_FEATURE_GRAPHS},
      {"graph-slots", "what does not fit the slots is the end of that launch", slots_are_checked,
       TROUPE_FEATURE_GRAPHS},
      {"graph-failures", "a graph fails as a whole, naming the task, and poisons what depends on it",
       graphs_fail, TROUPE_FEATURE_GRAPHS},
      {"graph-abort", "a graph that is aborted begins no more tasks, and uses its memory until it ends",
       graphs_are_aborted, TROUPE_FEATURE_GRAPHS},
      {"graph-unregister", "a graph keeps its kernels, and unfinished launches keep the graph",
       graphs_are_unregistered, TROUPE_FEATURE_GRAPHS},
  };
}

}  // namespace troupe::conformance
