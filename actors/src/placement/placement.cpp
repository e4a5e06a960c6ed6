#include "placement/placement.hpp"

#include <algorithm>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

std::int32_t Placement::add(ExecutorKind kind, std::string name, std::uint32_t credit) {
  auto& made = lanes_.emplace_back();
  made.kind = kind;
  made.name = std::move(name);
  made.credit = credit;
  return static_cast<std::int32_t>(lanes_.size()) - 1;
}

void Placement::touch(std::int32_t executor) {
  auto& it = lane(executor);
  if (it.listed) return;
  it.listed = true;
  touched_.push_back(executor);
}

/// Of what may go anywhere.
bool Placement::takes_more(const Lane& it) const {
  return it.takes_at_once() && it.used < share_[static_cast<std::size_t>(it.kind)];
}

/// After each change of what decides whether it takes something.
void Placement::relist(std::int32_t executor) {
  auto& it = lane(executor);
  const bool free = takes_more(it);
  const bool idle = free && it.used == 0;
  if (free == it.free && idle == it.idle) return;
  it.free = free;
  it.idle = idle;
  const auto kind = static_cast<std::size_t>(it.kind);
  free_[kind].set(executor, free);
  idle_[kind].set(executor, idle);
}

void Placement::up(std::int32_t executor, std::uint32_t credit) {
  auto& it = lane(executor);
  it.up = true;
  it.credit = std::max<std::uint32_t>(1, credit);
  expect_back(executor, false);
  relist(executor);
  touch(executor);
}

bool Placement::any_left(ExecutorKind kind) const {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [kind](const Lane& it) { return it.kind == kind && !it.retired && !it.closing; });
}

void Placement::open(RunId run, std::int8_t priority) { runs_[run].priority = priority; }

void Placement::close(RunId run) {
  const auto known = runs_.find(run);
  if (known == runs_.end()) return;
  for (int kind = 0; kind < 3; ++kind) waiting_count_[kind] -= known->second.waiting[kind].size();
  runs_.erase(known);
}

ExecutorKind Placement::kind_for(const TaskRequest& request) {
  switch (request.body->callable->kind) {
    case CallableKind::function:
      return ExecutorKind::sub_worker;
    case CallableKind::program:
      return ExecutorKind::worker;
    default:
      return ExecutorKind::chip;
  }
}

void Placement::refuse(const TaskRequest& request, const Error& error) {
  answer_members(request, request.executor, Outcome::failed, error, refused_);
}

void Placement::take(Ready& ready) {
  const auto known = runs_.find(ready.run);
  if (known == runs_.end()) return;
  known->second.report = ready.report;
  auto& unseen = known->second.unseen;
  while (!unseen.empty() && unseen.front().first <= ready.seen) unseen.pop_front();
  // Of one urgency they go in the order they have: those that can, straight out.
  const bool alike = std::all_of(ready.requests.begin(), ready.requests.end(), [&](const TaskRequest& it) {
    return it.priority == ready.requests.front().priority;
  });
  std::vector<TaskNumber> failed;
  for (const auto& [number, task] : unseen) failed.push_back(task);
  for (const auto& result : refused_) {
    if (result.key.run == ready.run) failed.push_back(result.key.task);  // not even told yet
  }
  for (auto& request : ready.requests) {
    const auto& depends = request.depends;
    if (!depends.empty() && std::any_of(failed.begin(), failed.end(), [&](TaskNumber task) {
          return std::binary_search(depends.begin(), depends.end(), task);
        })) {
      failed.push_back(request.key.task);  // what follows it in this batch is skipped likewise
      refused_.push_back(not_begun(request.key, 0, request.executor, Outcome::skipped, std::nullopt));
      continue;
    }
    const bool group = request.body->extras && !request.body->extras->members.empty();
    if (group) {
      take_group(std::move(request));
      continue;
    }
    if (request.executor < 0) request.executor = home_of(request.body->args, node_);
    if (request.executor < 0) {
      if (!any_left(kind_for(request))) {
        refuse(request, {Errc::chip_retired, "no executor is left for it"});
        continue;
      }
      const auto kind = static_cast<std::size_t>(kind_for(request));
      ++waiting_count_[kind];
      // Higher priority first, else as they came.
      auto& waiting = known->second.waiting[kind];
      auto at = waiting.end();
      while (at != waiting.begin() && std::prev(at)->priority < request.priority) --at;
      waiting.insert(at, std::move(request));
      take_turn(known->first, known->second, kind);
      continue;
    }
    const auto executor = request.executor;
    if (static_cast<std::size_t>(executor) >= lanes_.size() || lane(executor).kind != kind_for(request)) {
      refuse(request,
             {Errc::no_such_chip, "there is no executor number " + std::to_string(executor) + " for it"});
    } else if (lane(executor).retired || lane(executor).closing) {
      refuse(request, {Errc::chip_retired, lane(executor).name + " is out of use"});
    } else if (auto& it = lane(executor); alike && it.takes_at_once()) {
      put(executor, std::move(request));
    } else {
      enqueue(executor, std::move(request), known->second.priority);
    }
  }
}

/// Into the queue of the executor it is bound to: higher priority first, else as they came. It passes nothing
/// that it has to follow, and no group: that keeps its place in all its queues.
void Placement::enqueue(std::int32_t executor, TaskRequest&& request, std::int8_t run_priority) {
  const int priority = run_priority * 256 + request.priority;
  auto& queue = lane(executor).queue;
  auto at = queue.end();
  while (at != queue.begin()) {
    const auto& before = *std::prev(at);
    if (before.group || before.priority >= priority || follows(request, before.request.key)) break;
    --at;
  }
  queue.insert(at, {std::move(request), nullptr, priority});
  relist(executor);
  touch(executor);
}

void Placement::told(RunId run, const std::vector<TaskResult>& results) {
  const auto known = runs_.find(run);
  if (known == runs_.end()) return;
  auto& queue = known->second;
  for (const auto& result : results) {
    ++queue.told;
    if (result.outcome != Outcome::done) queue.unseen.emplace_back(queue.told, result.key.task);
  }
}

void Placement::put(std::int32_t executor, TaskRequest&& request, const Group* group) {
  auto& it = lane(executor);
  request.ticket = it.first + it.flights.size();
  request.executor = executor;
  auto& flight = it.flights.emplace_back(Flight{request.key});
  ++it.used;
  relist(executor);
  if (policy_ && it.kind == ExecutorKind::chip) expect(it, flight, request);
  std::optional<Error> refused;
  if (!hold(executor, request, refused, group)) {
    give(executor, std::move(request));
  } else if (refused) {
    refuse_held(executor, request, refused);
  } else {
    it.held.push_back(std::move(request));
  }
}

void Placement::drain(std::int32_t executor) {
  auto& it = lane(executor);
  while (it.up && it.used < it.credit && !it.queue.empty()) {
    if (const auto group = it.queue.front().group) {
      if (!start_group(group)) return;
      continue;
    }
    auto request = std::move(it.queue.front().request);
    it.queue.pop_front();
    put(executor, std::move(request));
  }
}

void Placement::drain_touched() {
  for (std::size_t i = 0; i < touched_.size(); ++i) {  // grows while groups start
    lane(touched_[i]).listed = false;
    drain(touched_[i]);
  }
  touched_.clear();
}

Placement::Moves Placement::place() {
  Moves moves;
  place_remakes();
  drain_touched();
  place_waiting(moves);
  for (const auto executor : outboxes_) close_outbox(executor);
  outboxes_.clear();
  moves.sends = std::exchange(sends_, {});
  moves.refused = std::exchange(refused_, {});
  return moves;
}

}  // namespace troupe::actors
