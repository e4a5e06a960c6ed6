// Runs on their way back from the device.
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "engine/engine.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

void Engine::note(const Error& error) noexcept {
  if (error == Errc::lost) note_loss();
}

void Engine::forget(Event& event) noexcept {
  if (event != Event{}) parts_.driver.release(std::exchange(event, Event{}));
}

bool Engine::look_for_ends() {
  // Memory of the host is its owner's again as soon as it was copied, however long the kernel takes.
  while (!inputs_.flights.empty() && !lost()) {
    Flight& flight = *inputs_.flights.front();
    const auto copied = parts_.driver.has_ended(flight.inputs);
    if (copied && !*copied) break;
    if (!copied) note(copied.error());
    inputs_.flights.pop_front();
    flight.copies = false;
    unfinished_.end_host_copy();
  }
  bool moved = look_at(outputs_, false);
  for (auto& line : lines_) moved = look_at(line, true) || moved;
  return moved;
}

/// In a queue, what was given first ends first.
bool Engine::look_at(Line& line, bool are_kernels) {
  bool moved = false;
  while (!line.flights.empty() && !lost()) {
    Flight& flight = *line.flights.front();
    const auto how = parts_.driver.has_ended(are_kernels ? flight.done : flight.outputs);
    if (how && !*how) break;
    if (are_kernels && has_live_producer(*flight.run)) break;  // in another queue, and looked at next
    line.flights.pop_front();
    moved = true;
    if (are_kernels) {
      flight.run->started_ns = std::max(flight.submitted_ns, line.last_end_ns);
      line.last_end_ns = parts_.host.now();
      kernel_ended(flight, how, line.last_end_ns);
    } else {
      if (!how) note(how.error());
      if (how) forget(flight.outputs);
      end(flight, how ? Outcome() : Outcome(how.error()));
    }
  }
  return moved;
}

bool Engine::has_live_producer(const Run& run) const {
  return std::any_of(run.depends_on.begin(), run.depends_on.end(),
                     [this](std::uint64_t number) { return live_.contains(number); });
}

Outcome Engine::outcome_of(const Flight& flight, const Result<bool>& how) const {
  if (flight.graph != nullptr) return graph_outcome(flight, how);
  const Run& run = *flight.run;
  const auto verdict = std::atomic_ref(flight.block->host->verdict).load(std::memory_order_acquire);
  // The device may have gone on with it before it was known that one before it is to end.
  for (const std::uint64_t number : run.depends_on) {
    if (auto skipped = unfinished_.skips(number)) return *std::move(skipped);
  }
  if (!how) {
    Error error(how.error().code(), "kernel '" + run.callable->name + "': " + how.error().message(),
                how.error().hint());
    return error;
  }
  if (verdict == TROUPE_VERDICT_FAILED) {
    auto& text = flight.block->host->text;
    text[sizeof text - 1] = '\0';
    return Error(
        Errc::kernel_failed, "kernel '" + run.callable->name + "' failed: " + text,
        "the kernel itself says so (k.fail); the same source runs on a simulated chip, in a debugger");
  }
  if (run.aborted.load() || verdict != TROUPE_VERDICT_NONE) return aborted("aborted while it ran");
  return {};
}

/// The device is not asked for its times: a kernel began when the one before it in its queue had ended.
void Engine::trace(const Flight& flight, std::uint64_t ended_ns, std::int32_t code) const {
  const Run& run = *flight.run;
  if (!run.wants(TROUPE_RUN_PROFILE) || !parts_.host.traces()) return;
  troupe_trace_event event{};
  event.correlation = run.correlation;
  event.name = run.callable->name.c_str();
  event.task = 1;
  event.submitted_ns = event.ready_ns = run.queued_ns;
  event.dispatched_ns = flight.submitted_ns;
  event.begin_ns = run.started_ns;
  event.end_ns = ended_ns;
  event.core = flight.line;
  event.core_kind = TROUPE_CORE_AIV;
  event.block_count = run.blocks;
  event.code = code;
  parts_.host.trace(&event, 1);
}

void Engine::kernel_ended(Flight& flight, const Result<bool>& how, std::uint64_t ended_ns) {
  if (!how) note(how.error());
  Outcome outcome = outcome_of(flight, how);
  const auto* graph = graph_of(*flight.run);
  flight.run->chip_tasks = outcome.code == TROUPE_DEVICE_POISONED ? 0 : graph != nullptr ? graph->size() : 1;
  if (flight.run->chip_tasks != 0) trace(flight, ended_ns, outcome.code);
  stop_copying(flight);
  if (!outcome.ok() || flight.tensors.outputs().empty()) return end(flight, std::move(outcome));
  copy_outputs(flight);
}

void Engine::copy_outputs(Flight& flight) {
  if (!unfinished_.begin_host_copy()) return end(flight, aborted("the device was given up while it ran"));
  flight.copies = true;
  for (const Copy& copy : flight.tensors.outputs()) {
    auto event = parts_.driver.copy(outputs_.queue, copy, {});
    if (!event) {
      note(event.error());
      return end(flight, event.error());
    }
    forget(flight.outputs);
    flight.outputs = *event;
    outputs_.touched = true;
  }
  outputs_.flights.push_back(&flight);
}

/// What still copies for it has come to its end, so that the host's memory and ours may be used for other
/// things.
void Engine::stop_copying(Flight& flight) {
  for (const Event event : {flight.inputs, flight.outputs}) {
    if (event == Event{} || lost() || !flight.copies) continue;
    if (auto ended = parts_.driver.wait(event); !ended) note(ended.error());
  }
  forget(flight.inputs);
  forget(flight.outputs);
  if (!std::exchange(flight.copies, false)) return;
  std::erase(inputs_.flights, &flight);
  unfinished_.end_host_copy();
}

void Engine::end(Flight& flight, Outcome outcome) {
  Run& run = *flight.run;
  stop_copying(flight);
  forget(flight.done);
  if (const auto found = live_.find(run.correlation); found != live_.end() && found->second == &flight) {
    live_.erase(found);
  }
  if (std::exchange(flight.given, false)) --given_;
  if (flight.block != nullptr) left_.push_back(flight.block);
  left_.insert(left_.end(), flight.looks_at.begin(), flight.looks_at.end());
  flight.looks_at.clear();
  flight.tensors.leave(room_);
  flight.kernel = nullptr;
  auto* const instance = std::exchange(flight.graph, nullptr);
  run.outcome = std::move(outcome);
  run.finished_ns = parts_.host.now();
  // The run, and its graph with it, may be gone as soon as it has ended.
  unfinished_.leave_device(flight);
  if (instance != nullptr) graph_of(run)->leave(*instance);
  unfinished_.end(flight);
  for (Block* block : left_) blocks_.leave(*block);
  left_.clear();
}

/// The device answers nothing any more.
void Engine::end_all_as_lost() {
  std::vector<Flight*> all;
  const auto empty = [&](Line& line) {
    all.insert(all.end(), line.flights.begin(), line.flights.end());
    line.flights.clear();
  };
  for (auto& line : lines_) empty(line);
  empty(outputs_);
  all.insert(all.end(), held_.begin(), held_.end());
  held_.clear();
  for (Flight* flight : all)
    end(*flight, Error(Errc::lost, "the device has died", "reset the chip, or use another"));
}

}  // namespace troupe::platform::queued
