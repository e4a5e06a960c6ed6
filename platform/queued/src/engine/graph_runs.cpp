// Launches of graphs, on devices that have graphs: for the engine a run like others, which waits for the host
// when it depends on one, and whose end is one event.
#include <algorithm>

#include "engine/engine.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

Result<Graph> Driver::make_graph(std::span<const GraphNode> /*nodes*/) {
  return Error(Errc::unsupported, "this device has no graphs");
}
Result<Event> Driver::launch_graph(Queue /*queue*/, Graph /*graph*/, std::span<const Event> /*after*/) {
  return Error(Errc::unsupported, "this device has no graphs");
}

Result<std::uint64_t> Engine::add_graph(const troupe_graph& graph, CallableTable& to) {
  auto made = QueuedGraph::make(graph, to, parts_.driver, lanes_, together_);
  if (!made) return made.error();
  return to.add_graph(graph.name != nullptr ? graph.name : "", *std::move(made));
}

Engine::Turn Engine::submit_graph(Flight& flight, QueuedGraph& graph) {
  if (auto refused = graph.refusal(*flight.run)) {
    end(flight, *std::move(refused));
    return Turn::taken;
  }
  auto instance = graph.take(parts_.host);
  if (instance && *instance == nullptr) return Turn::later;
  if (auto given = instance ? give_graph(flight, graph, **instance) : instance.error(); !given) {
    note(given.error());
    stop_copying(flight);
    end(flight, given.error());
  }
  return Turn::taken;
}

Result<void> Engine::give_graph(Flight& flight, const QueuedGraph& graph, QueuedGraph::Instance& instance) {
  flight.graph = &instance;
  if (auto placed = flight.tensors.place(*flight.run, parts_.memory, room_); !placed) return placed;
  if (auto copied = copy_inputs(flight); !copied) return copied;
  graph.fill(instance, *flight.run, flight.tensors.device());
  flight.line = line_for({});
  Line& line = lines_[flight.line];
  after_.clear();
  if (flight.inputs != Event{}) after_.push_back(flight.inputs);
  unfinished_.put_on_device(flight, instance.blocks);
  auto done = parts_.driver.launch_graph(line.queue, instance.graph, after_);
  if (!done) return done.error();
  flight.done = *done;
  line.flights.push_back(&flight);
  line.touched = true;
  flight.given = true;
  ++given_;
  if (flight.run->correlation != 0) live_.emplace(flight.run->correlation, &flight);
  return {};
}

Outcome Engine::graph_outcome(const Flight& flight, const Result<bool>& how) const {
  const Run& run = *flight.run;
  if (how) return graph_of(run)->outcome_of(*flight.graph, run);
  return Error(how.error().code(), "graph '" + run.callable->name + "': " + how.error().message(),
               how.error().hint());
}

}  // namespace troupe::platform::queued
