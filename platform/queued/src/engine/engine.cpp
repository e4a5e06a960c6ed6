// The engine's thread and its round; what callers of the ABI ask for.
#include "engine/engine.hpp"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

namespace {

constexpr std::uint32_t lines = 4;  // independent runs use several queues
constexpr std::size_t delivery_batch = 64;
constexpr std::uint32_t most_refusals = 3;
// Nothing tells of an end on a device, so it is looked for: at first all the time, then ever more seldom.
constexpr std::uint32_t looks_at_once = 40, pauses_between_looks = 40;
constexpr std::uint32_t first_pause_us = 20, longest_pause_us = 500;

void pause() noexcept {
  for (std::uint32_t i = 0; i < pauses_between_looks; ++i) spin_pause();
}

}  // namespace

Engine::Engine(const Parts& parts, std::uint32_t lanes, std::uint32_t together)
    : parts_(parts),
      lanes_(lanes),
      together_(together),
      unfinished_(parts.host, parts.callables),
      delivery_(parts.host),
      blocks_(parts.driver, most_on_device),
      room_(parts.memory) {}

Engine::~Engine() {
  for (const auto& line : lines_) parts_.driver.close_queue(line.queue);
  for (const Line* line : {&inputs_, &outputs_}) {
    if (line->queue != Queue{}) parts_.driver.close_queue(line->queue);
  }
}

Result<void> Engine::open() {
  const auto open_line = [&](Line& line) -> Result<void> {
    auto queue = parts_.driver.open_queue();
    if (!queue) return queue.error();
    line.queue = *queue;
    return {};
  };
  for (Line* line : {&inputs_, &outputs_}) {
    if (auto opened = open_line(*line); !opened) return opened;
  }
  while (lines_.size() < lines) {
    Line line;
    if (auto opened = open_line(line); !opened) return opened;
    lines_.push_back(std::move(line));
  }
  return {};
}

Result<void> Engine::launch(std::span<const troupe_run> runs, std::uint64_t settled, Of of) {
  if (!parts_.host.completes()) {
    return Error(Errc::invalid_state, "launch_runs needs a host with a completion callback",
                 "use run_runtime, or set `complete` in the host table");
  }
  const std::lock_guard lock(start_);
  if (auto added = unfinished_.add(runs, settled, of); !added || runs.empty()) return added;
  if (wake()) return {};
  unfinished_.take_back(runs.size());
  return Error(Errc::system, "no thread for this device's runs", comm::threads_hint());
}

Outcome Engine::run_and_wait(const troupe_run& run, troupe_completion* completion) {
  const Run* mine = nullptr;
  {
    const std::lock_guard lock(start_);
    auto added = unfinished_.add_awaited(run);
    if (!added) return added.error();
    mine = *added;
    if (!wake()) {
      unfinished_.take_back(1);
      return Error(Errc::system, "no thread for this device's runs", comm::threads_hint());
    }
  }
  auto ended = unfinished_.await(mine);
  if (ended == nullptr) return aborted("aborted; its kernel did not return");
  if (completion != nullptr) {
    *completion = completion_of(*ended);
    completion->message = nullptr;
  }
  Outcome outcome = std::move(ended->outcome);
  unfinished_.keep(std::move(ended));
  return outcome;
}

Result<void> Engine::abort(std::uint64_t correlation) {
  auto told = unfinished_.abort(correlation);
  if (!told) return told;
  const std::lock_guard lock(start_);
  if (serving_) static_cast<void>(wake());
  return told;
}

bool Engine::close(Unfinished::Clock::time_point deadline) {
  unfinished_.close();
  {
    const std::lock_guard lock(start_);
    if (serving_) static_cast<void>(wake());
  }
  if (unfinished_.wait_until_empty(deadline)) {
    deliver();
    return true;
  }
  const auto held = delivery_.begin();
  const auto given_up = unfinished_.give_up();
  if (!given_up.empty()) delivery_.deliver(given_up);
  return false;
}

std::size_t Engine::report_cores(troupe_core_status* cores, std::size_t capacity) const {
  std::size_t count = 0;
  unfinished_.for_each([&](const Flight& flight) {
    if (!flight.is_on_device()) return;
    std::string name = flight.run->callable->name;
    if (const auto* graph = graph_of(*flight.run)) {
      const auto running = graph->running(flight.graph_blocks);
      if (!running) return;
      name = *running;
    } else {
      const bool tells = flight.run->callable->image != nullptr;
      if (tells && std::atomic_ref(flight.block->host->started).load() == 0) return;
    }
    if (count++ >= capacity) return;
    troupe_core_status& core = cores[count - 1];
    core = {};
    core.core = flight.line;
    core.core_kind = TROUPE_CORE_AIV;
    core.correlation = flight.run->correlation;
    core.since_ns = flight.submitted_ns;
    name.copy(core.name, sizeof core.name - 1);
  });
  return count;
}

/// With start_ held. False: there is no thread, and nobody has looked at what was added.
bool Engine::wake() {
  arrivals_.fetch_add(1);
  if (serving_) {
    if (asleep_.load()) futex_wake(arrivals_, 1);
    return true;
  }
  serving_ = parts_.threads.start(*this);
  return serving_;
}

void Engine::run() noexcept { serve(); }

void Engine::serve() noexcept {
  std::uint32_t idle = 0;
  std::vector<Flight*> arrived;
  for (;;) {
    const auto seen = arrivals_.load(std::memory_order_acquire);
    // Looked at first: what was launched and aborted after this is collected with the next abort.
    const bool aborts = unfinished_.take_abort();
    unfinished_.collect(arrived);
    held_.insert(held_.end(), arrived.begin(), arrived.end());
    bool gave = !arrived.empty();
    arrived.clear();
    if (aborts) gave = end_aborted() || gave;
    if (lost()) end_all_as_lost();
    gave = submit_some() || gave;
    flush_lines();
    const bool ended = look_for_ends();
    if ((!gave && !ended) || unfinished_.ended() >= delivery_batch) deliver();
    if (gave || ended) {
      idle = 0;
      // A look takes locks that the device's own threads want, where it has some: so several ends are seen in
      // one.
      if (!gave) pause();
    } else if (!is_idle()) {
      if (idle++ < looks_at_once) {
        pause();
      } else {
        sleep(seen, std::min(longest_pause_us, first_pause_us << std::min(idle - looks_at_once, 8U)));
      }
    } else if (!wait_for_more(seen)) {
      const std::lock_guard lock(start_);
      if (arrivals_.load(std::memory_order_acquire) != seen) continue;
      serving_ = false;
      return;
    }
  }
}

void Engine::sleep(std::uint32_t seen, std::uint32_t microseconds) {
  asleep_.store(true);
  futex_wait(arrivals_, seen, microseconds);
  asleep_.store(false);
}

// A caller that launches one run after the other finds the thread awake.
bool Engine::wait_for_more(std::uint32_t seen) const {
  if (std::thread::hardware_concurrency() < 2) return false;
  for (std::uint32_t spin = 0; spin < looks_at_once * pauses_between_looks; ++spin) {
    if (arrivals_.load(std::memory_order_acquire) != seen) return true;
    spin_pause();
  }
  return false;
}

void Engine::deliver() noexcept {
  if (unfinished_.ended() == 0) return;
  const auto held = delivery_.begin();
  const auto ended = unfinished_.take_ended();
  if (!ended.empty()) delivery_.deliver(ended);
}

void Engine::flush_lines() {
  const auto flush = [this](Line& line) {
    if (!line.touched || lost()) return;
    auto flushed = parts_.driver.flush(line.queue);
    line.touched = !flushed;
    line.refusals = flushed ? 0 : line.refusals + 1;
    // What it holds would never begin, nor end.
    if (!flushed && (flushed.error() == Errc::lost || line.refusals == most_refusals)) note_loss();
  };
  flush(inputs_);
  flush(outputs_);
  for (auto& line : lines_) flush(line);
}

}  // namespace troupe::platform::queued
