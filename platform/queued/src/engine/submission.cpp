// Runs on their way to the device.
#include <algorithm>
#include <cstring>
#include <string>

#include "engine/engine.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::queued {

namespace {

constexpr auto before_it_started = "aborted before it started";

}  // namespace

/// Those that were not given to the device end at once.
bool Engine::end_aborted() {
  const auto kept = std::stable_partition(held_.begin(), held_.end(),
                                          [](const Flight* flight) { return !flight->run->aborted.load(); });
  if (kept == held_.end()) return false;
  const std::vector<Flight*> ending(kept, held_.end());
  held_.erase(kept, held_.end());
  for (Flight* flight : ending) end(*flight, aborted(before_it_started));
  return true;
}

bool Engine::submit_some() {
  bool moved = false;
  // In large pieces, which cost the device less.
  if (is_full_ && blocks_.in_use() > most_on_device / 2) return false;
  is_full_ = false;
  while (!held_.empty() && submit(*held_.front()) == Turn::taken) {
    held_.pop_front();
    moved = true;
  }
  return moved;
}

/// Why a run cannot be given to the device at all.
std::optional<Error> Engine::refusal(const Run& run) const {
  if (run.callable == nullptr) {
    return Error(Errc::unknown_callable, "no callable with id " + std::to_string(run.callable_id),
                 "register it on this chip before launching it");
  }
  if (auto fits = check_kernel_arguments(run); !fits) return fits.error();
  if (!run.wants(TROUPE_RUN_SYNC_START) || run.blocks <= together_) return std::nullopt;
  return Error(Errc::capacity_exceeded,
               "'" + run.callable->name + "' is to start " + std::to_string(run.blocks) +
                   " blocks together; this device promises " + std::to_string(together_));
}

/// Takes the first run that was not given to the device, unless it has to wait.
Engine::Turn Engine::submit(Flight& flight) {
  const Run& run = *flight.run;
  if (run.aborted.load()) {
    end(flight, aborted(before_it_started));
    return Turn::taken;
  }
  producers_.clear();
  auto* const graph = graph_of(run);
  const auto* kernel =
      run.callable == nullptr || graph != nullptr
          ? nullptr
          : static_cast<const DeviceKernel*>(run.callable->image != nullptr ? run.callable->image.get()
                                                                            : run.callable->foreign.get());
  for (const std::uint64_t number : run.depends_on) {
    if (auto skipped = unfinished_.skips(number)) {
      end(flight, *std::move(skipped));
      return Turn::taken;
    }
    if (number == 0 || number >= run.correlation) {
      end(flight, Error(Errc::bad_task_arguments, "it depends on run " + std::to_string(number) +
                                                      ", which was not launched before it"));
      return Turn::taken;
    }
    const auto found = live_.find(number);
    if (found == live_.end()) continue;  // it has ended well
    const bool on_device = kernel != nullptr && kernel->is_guarded() && found->second->tells();
    if (!on_device || producers_.size() == TROUPE_BLOCK_PRODUCERS) return Turn::later;
    producers_.push_back(found->second);
  }
  if (graph != nullptr) return submit_graph(flight, *graph);
  if (auto refused = refusal(run)) {
    end(flight, *refused);
    return Turn::taken;
  }
  auto block = blocks_.take();
  if (!block) {
    note(block.error());
    end(flight, block.error());
    return Turn::taken;
  }
  is_full_ = *block == nullptr;
  if (is_full_) return Turn::later;
  flight.kernel = kernel;
  if (auto given = give(flight, **block, producers_); !given) {
    note(given.error());
    stop_copying(flight);
    if (flight.block == nullptr) blocks_.leave(**block);
    end(flight, given.error());
  }
  return Turn::taken;
}

Result<void> Engine::give(Flight& flight, Block& block, std::span<Flight* const> producers) {
  if (auto placed = flight.tensors.place(*flight.run, parts_.memory, room_); !placed) return placed;
  if (auto copied = copy_inputs(flight); !copied) return copied;
  for (Flight* before : producers) {
    block.host->producer[block.host->producers++] = before->block->device;
    blocks_.use(*before->block);
    flight.looks_at.push_back(before->block);
  }
  fill(flight, block);
  flight.line = line_for(producers);
  Line& line = lines_[flight.line];
  after_.clear();
  if (flight.inputs != Event{}) after_.push_back(flight.inputs);
  for (const Flight* before : producers) {
    if (before->line != flight.line) after_.push_back(before->done);
  }
  unfinished_.put_on_device(flight, block);
  auto done = parts_.driver.launch(
      line.queue,
      {flight.kernel->function(), flight.run->blocks, lanes_,
       flight.kernel->is_guarded() ? block.device : block.device + offsetof(troupe_device_block, words)},
      after_);
  if (!done) return done.error();
  flight.done = *done;
  line.flights.push_back(&flight);
  line.touched = true;
  flight.given = true;
  ++given_;
  if (flight.run->correlation != 0) live_.emplace(flight.run->correlation, &flight);
  return {};
}

Result<void> Engine::copy_inputs(Flight& flight) {
  if (flight.tensors.inputs().empty()) return {};
  if (!unfinished_.begin_host_copy()) return aborted("the device was given up before the run began");
  flight.copies = true;
  for (const Copy& copy : flight.tensors.inputs()) {
    auto event = parts_.driver.copy(inputs_.queue, copy, {});
    if (!event) return event.error();
    forget(flight.inputs);
    flight.inputs = *event;
    inputs_.touched = true;
  }
  inputs_.flights.push_back(&flight);
  return {};
}

void Engine::fill(const Flight& flight, Block& block) const {
  const Run& run = *flight.run;
  auto& call = *block.host;
  const auto& tensors = flight.tensors.device();
  call.tensors = static_cast<troupe_device_u32>(tensors.size());
  call.scalars = static_cast<troupe_device_u32>(run.scalars.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto descriptor =
        runtime::describe(tensors[i], tensors[i].buffer().offset, runtime::AddressSpace::device,
                          static_cast<runtime::Tag>(run.tensors[i].tag));
    std::memcpy(&call.descriptors[i], &descriptor, sizeof descriptor);
    call.words[next++] = static_cast<long>(block.device + offsetof(troupe_device_block, descriptors) +
                                           i * sizeof(troupe_device_tensor));
  }
  for (const std::uint64_t scalar : run.scalars) call.words[next++] = static_cast<long>(scalar);
  if (flight.kernel->is_guarded()) return;
  // A kernel that came as bytes knows the words alone, all of them.
  std::fill(call.words + next, std::end(call.words), 0L);
  const runtime::LocalContext local{0, static_cast<std::int32_t>(run.blocks)};
  std::memcpy(call.local_context, &local, sizeof local);
  std::memset(call.global_context, 0, sizeof call.global_context);
  call.words[runtime::limits::local_context_word] =
      static_cast<long>(block.device + offsetof(troupe_device_block, local_context));
  call.words[runtime::limits::global_context_word] =
      static_cast<long>(block.device + offsetof(troupe_device_block, global_context));
}

/// Behind the last of those it comes after, so that the queue's own order does; else where least is to do.
std::uint32_t Engine::line_for(std::span<Flight* const> producers) {
  if (!producers.empty()) return producers.back()->line;
  const auto count = static_cast<std::uint32_t>(lines_.size());
  std::uint32_t best = next_line_++ % count;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (lines_[i].flights.size() < lines_[best].flights.size()) best = i;
  }
  return best;
}

}  // namespace troupe::platform::queued
