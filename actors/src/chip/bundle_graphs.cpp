// Tasks of a plan as one graph of the device, where it takes graphs: one launch and one end for all of them.
#include <algorithm>
#include <string>
#include <utility>

#include "chip/launch.hpp"
#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {
namespace {

/// A bundle as the device wants to hear of it; owns the lists.
struct Description {
  std::vector<troupe_graph_task> tasks;
  std::vector<troupe_graph_tensor> tensors;
  std::vector<troupe_graph_scalar> scalars;
  std::vector<troupe_tensor_arg> slots;

  Description(const Bundle& bundle, const std::vector<std::uint64_t>& callables) {
    tasks.reserve(bundle.size());
    tensors.reserve(bundle.tensors.size());
    for (std::uint32_t number = 0; number < bundle.size(); ++number) {
      const auto &task = bundle.tasks[number], &end = bundle.tasks[number + 1];
      auto& told = tasks.emplace_back();
      told.callable = callables[task.callable];
      told.name = bundle.name_of(number).data();  // of a string, so it ends in a null
      told.tensor_count = end.tensors - task.tensors;
      told.scalar_count = end.scalars - task.scalars;
      told.producer_count = end.producers - task.producers;
      if (task.option != 0) told.blocks = bundle.options[task.option - 1U].blocks;
    }
    for (const auto packed : bundle.tensors) add_view(bundle, packed);
    for (std::size_t i = 0; i < bundle.scalars.size(); ++i)
      scalars.push_back({bundle.scalars[i], TROUPE_GRAPH_NO_SLOT, bundle.scalar_kinds[i], {}});
    for (const auto& patch : bundle.patches) scalars[patch.scalar].slot = patch.argument;
  }

  troupe_graph graph(const Bundle& bundle) const {
    troupe_graph graph{};
    graph.size = sizeof graph;
    graph.flags = TROUPE_GRAPH_OVERLAPS_ARE_KNOWN;  // a plan is given what it was recorded with, or refused
    graph.tasks = tasks.data();
    graph.tensors = tensors.data();
    graph.scalars = scalars.data();
    graph.producers = bundle.producers.data();
    graph.slots = slots.data();
    graph.task_count = tasks.size();
    graph.tensor_count = tensors.size();
    graph.scalar_count = scalars.size();
    graph.producer_count = bundle.producers.size();
    graph.slot_count = static_cast<std::uint32_t>(slots.size());
    return graph;
  }

 private:
  void add_view(const Bundle& bundle, std::uint32_t packed) {
    const auto& view = bundle.views[packed >> Bundle::tag_bits];
    const auto& layout = bundle.layouts[view.layout];
    auto& told = tensors.emplace_back();
    told.offset = view.offset;
    told.slot = view.argument;
    told.ndims = layout.dims;
    std::copy(layout.shape.begin(), layout.shape.end(), told.shape);
    std::copy(layout.strides.begin(), layout.strides.end(), told.strides);
    told.dtype = static_cast<std::uint8_t>(layout.dtype);
    told.tag = static_cast<std::uint8_t>(packed & ((1U << Bundle::tag_bits) - 1));
  }
};

}  // namespace

/// The device's number for the graph that the bundle is; 0: its tasks are launched one by one. So they are
/// where each is to be looked at, has options that no graph has, or finds its data in parts.
std::uint64_t ChipState::graph_of(const BundleRun& run) {
  if (tracer_ || !context().has_graphs()) return 0;
  const auto& bundle = run.bundle();
  const bool plain = std::none_of(bundle.code.begin(), bundle.code.end(),
                                  [](const Bundle::Code& code) { return code.owned != nullptr; }) &&
                     std::none_of(bundle.options.begin(), bundle.options.end(),
                                  [](const Bundle::Option& option) { return option.config.has_value(); }) &&
                     std::none_of(run.bases.begin(), run.bases.end(),
                                  [](const BundleRun::Base& base) { return base.piece != nullptr; });
  if (!plain) return 0;
  const std::shared_ptr<const Bundle> held = run.request.body->callable->bundle;
  if (const auto known = graphs_.find(held.get()); known != graphs_.end() && known->second.of.lock() == held)
    return known->second.id;
  // Whenever one comes, those that nobody has any more go.
  std::erase_if(graphs_, [this](const auto& known) {
    if (!known.second.of.expired()) return false;
    if (known.second.id != 0) (void)context().unregister_graph(known.second.id);
    return true;
  });
  const auto id = register_graph(run);
  if (!id && lost_by(id.error())) return 0;
  graphs_[held.get()] = {held, id ? *id : 0};
  return id ? *id : 0;
}

Result<std::uint64_t> ChipState::register_graph(const BundleRun& run) {
  const auto& bundle = run.bundle();
  const auto& args = run.request.body->args;
  Description description(bundle, run.callables);
  for (std::size_t i = 0; i < run.bases.size(); ++i)
    description.slots.push_back(argument_of(args.tensors[i], run.bases[i].address, run.bases[i].on_chip));
  auto graph = description.graph(bundle);
  graph.scalar_slot_count = static_cast<std::uint32_t>(args.scalars.size());
  return context().register_graph(graph);
}

void ChipState::launch_graph(const std::shared_ptr<BundleRun>& self) {
  auto& run = *self;
  const auto& args = run.request.body->args;
  tensors_.clear();
  for (std::size_t i = 0; i < run.bases.size(); ++i)
    tensors_.push_back(argument_of(args.tensors[i], run.bases[i].address, run.bases[i].on_chip));
  troupe_run one{};
  one.correlation = first_ + flights_.size();
  one.callable = run.graph;
  one.tensors = tensors_.data();
  one.tensor_count = static_cast<std::uint32_t>(tensors_.size());
  one.scalars = args.scalars.data();
  one.scalar_count = static_cast<std::uint32_t>(args.scalars.size());
  one.scalar_kinds = args.kinds();
  one.name = run.request.body->name().data();  // of a string, or a literal: it ends in a null
  const auto launched = context().launch_graph(one, flights_.empty() ? first_ : flights_.front().names_from);
  if (launched) {
    Flight& flight = flights_.emplace_back();
    flight.key = run.request.key;
    flight.ticket = run.request.ticket;
    flight.names_from = first_;
    flight.bundle = self;
    flight.task = Flight::whole;
    ++in_flight_;
    ++run.open;
    run.next = run.bundle().size();
    return;
  }
  // The device is fuller than its credit says; completions will bring us back here.
  if (launched.error() == platform::Errc::queue_full && in_flight_ > 0) return;
  (void)lost_by(launched.error());
  if (!run.error) run.error = launched.error();
  run.given_up = true;
}

void ChipState::graph_ended(BundleRun& run, const DeviceDone::One& end) {
  if (end.code == 0) {
    completed_ += run.bundle().size();
    return;
  }
  ++failed_;
  // What was asked to end has not failed.
  if (end.code == TROUPE_DEVICE_ABORTED && run.given_up) return;
  // The device says which of its tasks it was.
  const std::string message = end.message.starts_with("task ") ? "its " + end.message : end.message;
  if (!run.error) run.error = platform::device_error(end.code, message);
}

}  // namespace troupe::actors
