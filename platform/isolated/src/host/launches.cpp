// Runs of a context, from their launch to their end.
#include <algorithm>

#include "host/context.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

/// A batch is cut where it becomes larger than that.
constexpr std::size_t large_batch = std::size_t{4} << 20U;
/// Of anything that a run has: more is a mistake.
constexpr std::uint32_t absurd = 1U << 16U;

bool is_there(const troupe_run& run) {
  return (run.tensors != nullptr || run.tensor_count == 0) &&
         (run.scalars != nullptr || run.scalar_count == 0) &&
         (run.depends_on != nullptr || run.depends_count == 0);
}

bool is_absurd(const troupe_run& run) {
  return run.tensor_count > absurd || run.scalar_count > absurd || run.depends_count > absurd;
}

/// More than the device takes; where it does not say how much that is, anything may fit.
bool is_beyond(const troupe_device_properties& device, const troupe_run& run) {
  return (device.max_tensors != 0 && run.tensor_count > device.max_tensors) ||
         (device.max_scalars != 0 && run.scalar_count > device.max_scalars);
}

}  // namespace

std::int32_t Context::launch(const troupe_run* runs, std::size_t count, std::uint64_t settled, bool graphs) {
  if (inside_callback()) return note(TROUPE_DEVICE_REENTRANT_CALL, "launch_runs from a completion callback");
  std::unique_lock lock(mutex_);
  const auto refuse = [&](std::int32_t code, std::string text) {
    lock.unlock();
    return note(code, std::move(text));
  };
  if (const auto refused = refusal(true)) return refuse(refused->code, refused->text);
  if (runs == nullptr && count != 0) return refuse(TROUPE_DEVICE_INVALID_ARGUMENT, "launch_runs: null runs");
  if (host_.complete == nullptr) {
    return refuse(TROUPE_DEVICE_INVALID_STATE, "launch_runs: the host has no completion callback");
  }
  auto last = last_correlation_;
  for (std::size_t i = 0; i < count; ++i) {
    if (runs[i].correlation <= last) {
      return refuse(TROUPE_DEVICE_INVALID_ARGUMENT, "launch_runs: run " +
                                                        std::to_string(runs[i].correlation) + " after run " +
                                                        std::to_string(last) + ": correlations have to rise");
    }
    if (!is_there(runs[i]) || is_absurd(runs[i])) {
      return refuse(TROUPE_DEVICE_INVALID_ARGUMENT, "launch_runs: run " +
                                                        std::to_string(runs[i].correlation) +
                                                        " has null, or absurdly many, arguments");
    }
    if (is_beyond(properties_, runs[i])) {
      return refuse(TROUPE_DEVICE_INVALID_ARGUMENT,
                    "launch_runs: run " + std::to_string(runs[i].correlation) + " has " +
                        std::to_string(runs[i].tensor_count) + " tensors and " +
                        std::to_string(runs[i].scalar_count) + " scalars");
    }
    last = runs[i].correlation;
  }
  if (properties_.queue_depth != 0 && unfinished_ + count > properties_.queue_depth) {
    return refuse(TROUPE_DEVICE_QUEUE_FULL, "launch_runs: " + std::to_string(unfinished_) +
                                                " runs are unfinished, the queue takes " +
                                                std::to_string(properties_.queue_depth));
  }
  settled_ = std::max(settled_, settled);
  // A run that waits here was launched when less was settled.
  const auto forgotten = held_.empty() ? settled_ : std::min(settled_, held_.front().settled);
  failed_here_.erase(failed_here_.begin(), failed_here_.lower_bound(forgotten));
  Writer batch;
  std::uint32_t in_batch = 0;
  std::vector<troupe_tensor_arg> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& run = runs[i];
    last_correlation_ = run.correlation;
    ++unfinished_;
    auto& flight = flights_.emplace_back();
    flight.correlation = run.correlation;
    if (skip_if_producer_failed(run)) continue;
    if (!held_.empty() || !prepare_to_send(run, flight, tensors)) {
      if (flight.ended) continue;
      flight.held = true;
      hold(run, graphs, settled);
      continue;
    }
    put_run(batch, run, tensors, graphs);
    ++in_batch;
    if (batch.bytes().size() > large_batch) send(batch, in_batch, settled);
  }
  send(batch, in_batch, settled);
  if (!ends_.empty()) session_->link.wake();
  return 0;
}

void Context::send(Writer& runs, std::uint32_t& count, std::uint64_t settled) {
  if (count == 0) return;
  Writer batch;
  batch.put(settled).put(std::uint64_t{count}).raw(runs.bytes().data(), runs.bytes().size());
  // What does not leave ends with the process, which is down then.
  (void)session_->link.send(Kind::launch, 0, batch.bytes());
  runs.clear();
  count = 0;
}

/// `tensors`: those of the run, where the process finds them. False: some are in other memory.
bool Context::place_tensors(const troupe_run& run, std::vector<troupe_tensor_arg>& tensors,
                            StagedRun& staged) {
  tensors.assign(run.tensors, run.tensors + run.tensor_count);
  for (auto& tensor : tensors) {
    set_piece(tensor, 0);
    const auto extent = extent_of(tensor);
    if (!extent) {
      // Another machine has nothing at such an address.
      if (!session_->link.is_local() && tensor.address_space != TROUPE_SPACE_DEVICE) tensor.buffer = 0;
      continue;
    }
    const auto* const host =
        reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(tensor.buffer));  // NOLINT
    if (const auto place = session_->pieces.find(session_->link, host, tensor.buffer_bytes)) {
      tensor.buffer = place->offset;
      set_piece(tensor, place->piece);
    } else {
      staged.extents.push_back(*extent);
    }
  }
  return staged.extents.empty();
}

/// Whether the run may go now, with `tensors`. It may also end here: no memory.
bool Context::prepare_to_send(const troupe_run& run, Flight& flight,
                              std::vector<troupe_tensor_arg>& tensors) {
  auto& staged = flight.staged;
  auto& link = session_->link;
  // To another machine: `caught_up` comes when there is room again.
  if (!link.is_local() && !link.has_room()) return false;
  const auto leaves = [&] {
    if (!staged.send_along(link, run.correlation)) return false;
    tensors = std::exchange(staged.placed, {});
    return true;
  };
  if (!staged.placed.empty()) return leaves();
  if (place_tensors(run, tensors, staged)) return true;
  auto made = Staging::Made::no_room;
  if (!must_wait(staged)) made = session_->staging.stage(tensors, link, session_->pieces, staged);
  if (made == Staging::Made::done) {
    if (link.is_local()) return true;
    staged.placed = tensors;
    return leaves();
  }
  staged = {};
  if (made == Staging::Made::refused) {
    end_here(run.correlation, TROUPE_DEVICE_SYSTEM, "no memory for the host tensors of a run", 0);
  }
  return false;
}

/// What an unfinished run does to the same host memory has to be seen, and comes back only with its end.
bool Context::must_wait(const StagedRun& run) const {
  for (const auto& flight : flights_) {
    if (flight.ended) continue;
    for (const auto& theirs : flight.staged.extents) {
      for (const auto& ours : run.extents) {
        if (&flight.staged != &run && theirs.overlaps(ours) && (theirs.written || ours.written)) return true;
      }
    }
  }
  return false;
}

void Context::hold(const troupe_run& run, bool is_graph, std::uint64_t settled) {
  auto& held = held_.emplace_back();
  held.run = run;
  held.is_graph = is_graph;
  held.tensors.assign(run.tensors, run.tensors + run.tensor_count);
  held.scalars.assign(run.scalars, run.scalars + run.scalar_count);
  held.depends_on.assign(run.depends_on, run.depends_on + run.depends_count);
  if (run.scalar_kinds != nullptr) held.kinds.assign(run.scalar_kinds, run.scalar_kinds + run.scalar_count);
  held.has_name = run.name != nullptr;
  if (held.has_name) held.name = run.name;
  held.run.tensors = held.tensors.data();
  held.run.scalars = held.scalars.data();
  held.run.depends_on = held.depends_on.data();
  held.run.scalar_kinds = held.kinds.empty() ? nullptr : held.kinds.data();
  held.settled = settled;
}

/// Runs have ended: those that waited for that go, in their order.
void Context::release_held() {
  if (ending_) return;  // they are ended with everything else
  Writer batch;
  std::vector<troupe_tensor_arg> tensors;
  while (!held_.empty()) {
    auto& held = held_.front();
    auto* const flight = flight_of(held.run.correlation);
    held.run.name = held.has_name ? held.name.c_str() : nullptr;
    if (flight != nullptr && !flight->ended && !skip_if_producer_failed(held.run)) {
      if (!prepare_to_send(held.run, *flight, tensors)) {
        if (!flight->ended) break;
      } else {
        flight->held = false;
        std::uint32_t one = 1;
        put_run(batch, held.run, tensors, held.is_graph);
        send(batch, one, held.settled);
      }
    }
    held_.pop_front();
  }
}

/// It depends on one that failed without having been sent.
bool Context::skip_if_producer_failed(const troupe_run& run) {
  if (failed_here_.empty()) return false;
  for (std::uint32_t i = 0; i < run.depends_count; ++i) {
    const auto failed = failed_here_.find(run.depends_on[i]);
    if (failed == failed_here_.end()) continue;
    end_here(run.correlation, TROUPE_DEVICE_POISONED,
             "skipped: run " + std::to_string(failed->second) + " failed", failed->second);
    return true;
  }
  return false;
}

void Context::end_here(std::uint64_t correlation, std::int32_t code, std::string message,
                       std::uint64_t caused_by) {
  End end;
  end.completion.correlation = correlation;
  end.completion.code = code;
  end.completion.caused_by = caused_by;
  end.completion.queued_ns = end.completion.finished_ns = now();
  end.message = std::move(message);
  failed_here_.emplace(correlation, caused_by != 0 ? caused_by : correlation);
  (void)finish(*flight_of(correlation), code);
  ends_.push_back(std::move(end));
}

Context::Flight* Context::flight_of(std::uint64_t correlation) {
  const auto found = std::lower_bound(
      flights_.begin(), flights_.end(), correlation,
      [](const Flight& flight, std::uint64_t number) { return flight.correlation < number; });
  return found != flights_.end() && found->correlation == correlation ? &*found : nullptr;
}

/// False: it has ended before.
bool Context::finish(Flight& flight, std::int32_t code) {
  if (std::exchange(flight.ended, true)) return false;
  --unfinished_;
  ++completed_;
  if (code != 0) ++failed_;
  if (!flight.staged.tensors.empty()) {
    if (code == 0) flight.staged.copy_back(session_->link);
    session_->staging.unstage(flight.staged, session_->link, session_->pieces);
  }
  return true;
}

void Context::end_all(std::int32_t code, const std::string& message) {
  for (auto& flight : flights_) {
    if (!flight.ended) end_here(flight.correlation, code, message, 0);
  }
  flights_.clear();
  held_.clear();
  failed_here_.clear();
}

std::int32_t Context::abort(std::uint64_t correlation) {
  if (inside_callback()) return note(TROUPE_DEVICE_REENTRANT_CALL, "abort_runs from a completion callback");
  std::unique_lock lock(mutex_);
  if (const auto refused = refusal(true)) {
    lock.unlock();
    return note(*refused);
  }
  if (correlation != TROUPE_ALL_RUNS && (correlation == 0 || correlation > last_correlation_)) {
    lock.unlock();
    return note(TROUPE_DEVICE_INVALID_ARGUMENT,
                "abort_runs: run " + std::to_string(correlation) + " was never launched");
  }
  const auto time = now();
  for (auto& flight : flights_) {
    if (flight.ended || (correlation != TROUPE_ALL_RUNS && flight.correlation != correlation)) continue;
    if (flight.asked_ns == 0) flight.asked_ns = time;
    if (flight.held) end_here(flight.correlation, TROUPE_DEVICE_ABORTED, "aborted before it began", 0);
  }
  Writer which;
  which.put(correlation);
  (void)session_->link.send(Kind::abort, 0, which.bytes());
  if (!ends_.empty()) session_->link.wake();
  return 0;
}

// --- a run that is waited for ------------------------------------------------------------------------------

std::int32_t Context::run(const troupe_run* run, troupe_completion* completion) {
  if (run == nullptr) return null_argument("run");
  if (inside_callback()) return note(TROUPE_DEVICE_REENTRANT_CALL, "run_runtime from a completion callback");
  if ((run->tensors == nullptr && run->tensor_count != 0) ||
      (run->scalars == nullptr && run->scalar_count != 0) || run->tensor_count > 65536 ||
      run->scalar_count > 65536) {
    return note(TROUPE_DEVICE_BAD_TASK_ARGUMENTS, "run_runtime: null or absurdly many arguments");
  }
  troupe_run sent = *run;
  sent.depends_on = nullptr;
  sent.depends_count = 0;
  sent.correlation = 0;
  std::vector<troupe_tensor_arg> tensors;
  StagedRun staged;
  std::shared_ptr<Session> session;
  std::uint64_t silence = 0;
  Staging alone(nullptr, 0, 0);
  {
    const std::lock_guard lock(mutex_);
    if (const auto refused = refusal(true)) return note(*refused);
    session = session_;
    silence = silence_ms_;
    if (!place_tensors(*run, tensors, staged)) {
      if (alone.stage(tensors, session->link, session->pieces, staged) != Staging::Made::done) {
        return note(TROUPE_DEVICE_SYSTEM, "no memory for the host tensors of a run");
      }
      if (!session->link.is_local()) sent.correlation = waited_for | ++last_waited_for_;
    }
  }
  while (!staged.send_along(session->link, sent.correlation) && session->wait_for_room({silence})) {
  }
  Writer arguments;
  put_run(arguments, sent, tensors);
  const auto answer = ask(Kind::run, arguments, {}, session.get());
  if (answer.code == 0) staged.copy_back(session->link);
  if (!staged.tensors.empty()) alone.unstage(staged, session->link, session->pieces);
  Reader reader(answer.more);
  auto end = reader.get<troupe_completion>();
  if (reader.complete() && completion != nullptr) {
    end.message = nullptr;
    put_here(end);
    *completion = end;
  }
  return note(answer);
}

}  // namespace troupe::platform::isolation
