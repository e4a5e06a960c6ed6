#include "engine/unfinished.hpp"

#include <algorithm>
#include <string>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

void Unfinished::append(const troupe_run& run, Of of) {
  if (spare_.empty()) spare_.emplace_back();
  Flight& flight = spare_.front();
  if (flight.run == nullptr && !spare_runs_.empty()) {
    flight.run = std::move(spare_runs_.back());
    spare_runs_.pop_back();
  }
  if (flight.run == nullptr) flight.run = std::make_unique<Run>();
  flight.run->assign(run);
  if (of == Of::graphs) {
    flight.run->callable = callables_.find_graph(run.callable);
  } else if (auto found = callables_.find(run.callable)) {
    flight.run->callable = *found;
  }
  flight.run->queued_ns = host_.now();
  flights_.splice(flights_.end(), spare_, spare_.begin());
  flight.place = std::prev(flights_.end());
  arrived_.push_back(&flight);
}

Result<void> Unfinished::add(std::span<const troupe_run> runs, std::uint64_t settled, Of of) {
  const std::lock_guard lock(mutex_);
  if (closing_) return aborted("the device is being reset");
  if (auto valid = check_launch(runs, last_correlation_); !valid) return valid;
  if (flights_.size() + runs.size() > most) {
    return Error(Errc::queue_full,
                 "this chip has " + std::to_string(flights_.size()) + " unfinished runs, at most " +
                     std::to_string(most) + " fit",
                 "launch again after some have completed");
  }
  failed_.settled(settled);
  has_failures_.store(!failed_.empty(), std::memory_order_release);
  for (const auto& run : runs) append(run, of);
  if (!runs.empty()) last_correlation_ = runs.back().correlation;
  return {};
}

Result<const Run*> Unfinished::add_awaited(const troupe_run& run) {
  const std::lock_guard lock(mutex_);
  if (closing_) return aborted("the device is being reset");
  troupe_run own = run;
  own.correlation = last_correlation_ + 1;
  own.depends_count = 0;
  if (auto valid = check_launch({&own, 1}, last_correlation_); !valid) return valid.error();
  own.correlation = 0;
  append(own, Of::callables);
  flights_.back().run->awaited = true;
  return flights_.back().run.get();
}

void Unfinished::take_back(std::size_t count) {
  const std::lock_guard lock(mutex_);
  for (; count > 0 && !arrived_.empty(); --count) {
    Flight& flight = *arrived_.back();
    arrived_.pop_back();
    flight.run->callable.reset();
    spare_.splice(spare_.begin(), flights_, flight.place);
  }
  changed_.notify_all();
}

std::unique_ptr<Run> Unfinished::await(const Run* run) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  auto mine = awaited_.end();
  changed_.wait(lock, [&] {
    mine = std::find_if(awaited_.begin(), awaited_.end(),
                        [run](const auto& ended) { return ended.get() == run; });
    return given_up_ || mine != awaited_.end();
  });
  std::unique_ptr<Run> ended;
  if (mine != awaited_.end()) {
    ended = std::move(*mine);
    awaited_.erase(mine);
  }
  --waiting_;
  changed_.notify_all();
  return ended;
}

void Unfinished::keep(std::unique_ptr<Run> run) {
  run->callable.reset();
  const std::lock_guard lock(mutex_);
  spare_runs_.push_back(std::move(run));
}

Result<void> Unfinished::abort(std::uint64_t correlation) {
  const std::lock_guard lock(mutex_);
  if (correlation != TROUPE_ALL_RUNS && (correlation == 0 || correlation > last_correlation_)) {
    return Error(Errc::invalid_argument, "run " + std::to_string(correlation) + " was never launched");
  }
  for (const Flight& flight : flights_) {
    if (correlation != TROUPE_ALL_RUNS && flight.run->correlation != correlation) continue;
    flight.run->aborted.store(true);
    if (flight.block != nullptr) std::atomic_ref(flight.block->host->abort).store(1U);
    for (auto& block : flight.graph_blocks) std::atomic_ref(block.abort).store(1U);
  }
  aborting_.store(true);
  return {};
}

void Unfinished::close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  static_cast<void>(abort(TROUPE_ALL_RUNS));
}

bool Unfinished::wait_until_empty(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline,
                             [this] { return flights_.empty() && awaited_.empty() && waiting_ == 0; });
}

std::vector<std::unique_ptr<Run>> Unfinished::give_up() {
  std::unique_lock lock(mutex_);
  std::vector<std::unique_ptr<Run>> runs;
  if (given_up_) return runs;
  given_up_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return copying_ == 0; });
  runs.swap(ended_);
  for (const Flight& flight : flights_) {
    if (flight.run->ended) continue;
    flight.run->ended = true;
    // The engine still uses the run itself.
    auto told = std::make_unique<Run>();
    told->correlation = flight.run->correlation;
    told->queued_ns = flight.run->queued_ns;
    told->started_ns = flight.submitted_ns;
    told->finished_ns = host_.now();
    told->outcome = aborted(flight.submitted_ns != 0 ? "aborted; its kernel did not return"
                                                     : "aborted before it started");
    count_end(*told);
    if (!flight.run->awaited) runs.push_back(std::move(told));
  }
  return runs;
}

void Unfinished::collect(std::vector<Flight*>& arrived) {
  const std::lock_guard lock(mutex_);
  arrived.insert(arrived.end(), arrived_.begin(), arrived_.end());
  arrived_.clear();
}

void Unfinished::put_on_device(Flight& flight, Block& block) {
  const std::lock_guard lock(mutex_);
  flight.block = &block;
  flight.submitted_ns = host_.now();
  if (flight.run->aborted.load()) std::atomic_ref(block.host->abort).store(1U);
}

void Unfinished::put_on_device(Flight& flight, std::span<troupe_device_block> graph_blocks) {
  const std::lock_guard lock(mutex_);
  flight.graph_blocks = graph_blocks;
  flight.submitted_ns = host_.now();
  if (!flight.run->aborted.load()) return;
  for (auto& block : graph_blocks) std::atomic_ref(block.abort).store(1U);
}

void Unfinished::leave_device(Flight& flight) {
  const std::lock_guard lock(mutex_);
  flight.submitted_ns = 0;
  flight.block = nullptr;
  flight.graph_blocks = {};
}

void Unfinished::count_end(const Run& run) {
  ++completed_;
  if (run.outcome.ok()) return;
  ++failures_;
  failed_.ended(run);
  has_failures_.store(!failed_.empty(), std::memory_order_release);
}

void Unfinished::end(Flight& flight) {
  const std::lock_guard lock(mutex_);
  if (flight.run->ended) {  // given up on, and reported as aborted long ago
    flight.run->callable.reset();
  } else {
    flight.run->ended = true;
    count_end(*flight.run);
    auto& list = flight.run->awaited ? awaited_ : ended_;
    list.push_back(std::move(flight.run));
  }
  spare_.splice(spare_.begin(), flights_, flight.place);
  if (waiting_ != 0 || closing_) changed_.notify_all();
}

std::optional<Outcome> Unfinished::skips(std::uint64_t correlation) const {
  if (!has_failures_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return failed_.skips(correlation);
}

bool Unfinished::begin_host_copy() {
  const std::lock_guard lock(mutex_);
  if (!given_up_) ++copying_;
  return !given_up_;
}

void Unfinished::end_host_copy() {
  const std::lock_guard lock(mutex_);
  --copying_;
  if (given_up_) changed_.notify_all();
}

std::vector<std::unique_ptr<Run>> Unfinished::take_ended() {
  const std::lock_guard lock(mutex_);
  return std::exchange(ended_, {});
}

std::size_t Unfinished::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_.size();
}

void Unfinished::report(troupe_device_status& status) const {
  const std::lock_guard lock(mutex_);
  status.runs_queued = status.runs_running = 0;
  for (const Flight& flight : flights_) {
    if (flight.run->ended) continue;
    ++(flight.is_on_device() ? status.runs_running : status.runs_queued);
  }
  status.runs_completed = completed_;
  status.runs_failed = failures_;
}

}  // namespace troupe::platform::queued
