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

/// After each change of what decides whether it takes something.
void Placement::relist(std::int32_t executor) {
  auto& it = lane(executor);
  const bool free = it.up && !it.closing && it.used < it.credit && it.queue.empty();
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
  for (std::uint32_t member = 0; member < request.members; ++member) {
    auto key = request.key;
    key.member = member;
    refused_.push_back(not_begun(key, 0, request.executor, Outcome::failed, error));
  }
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
    } else if (auto& it = lane(executor); alike && it.up && it.queue.empty() && it.used < it.credit) {
      put(executor, std::move(request));
    } else {
      enqueue(executor, std::move(request), known->second.priority);
    }
  }
}

/// Into the queue of the executor it is bound to: higher priority first, else as they came. It passes nothing
/// that it has to follow, and no group: that keeps its place in all its queues.
void Placement::enqueue(std::int32_t executor, TaskRequest request, std::int8_t run_priority) {
  const int priority = run_priority * 256 + request.priority;
  auto& queue = lane(executor).queue;
  auto follows = [&](const TaskRequest& other) {
    return other.key.run == request.key.run &&
           std::binary_search(request.depends.begin(), request.depends.end(), other.key.task);
  };
  auto at = queue.end();
  while (at != queue.begin()) {
    const auto& before = *std::prev(at);
    if (before.group || before.priority >= priority || follows(before.request)) break;
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

/// For members that are bound to none: those with least to do, each once; -1: there are no more.
void Placement::choose_lanes(Group& group, ExecutorKind kind) const {
  if (std::none_of(group.lanes.begin(), group.lanes.end(), [](std::int32_t it) { return it < 0; })) return;
  std::vector<bool> taken(lanes_.size());
  for (const auto place : group.lanes) {
    if (place >= 0 && static_cast<std::size_t>(place) < taken.size())
      taken[static_cast<std::size_t>(place)] = true;
  }
  std::vector<std::pair<std::size_t, std::int32_t>> free;  // by load
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto& it = lanes_[i];
    if (it.kind != kind || it.retired || it.closing || taken[i]) continue;
    free.emplace_back(it.used + it.queue.size() + (it.up ? 0 : 1000), static_cast<std::int32_t>(i));
  }
  std::sort(free.begin(), free.end());
  auto next = free.begin();
  for (auto& place : group.lanes) {
    if (place < 0 && next != free.end()) place = next++->second;
  }
}

void Placement::take_group(TaskRequest request) {
  auto group = std::make_shared<Group>();
  const auto kind = kind_for(request);
  const auto& extras = *request.body->extras;
  const auto members = extras.members.size();
  for (std::size_t i = 0; i < members; ++i) {
    const auto wanted = extras.chips.empty() ? home_of(extras.members[i], node_) : extras.chips[i];
    group->lanes.push_back(wanted);
  }
  choose_lanes(*group, kind);
  for (const auto place : group->lanes) {
    const bool exists =
        place >= 0 && static_cast<std::size_t>(place) < lanes_.size() && lane(place).kind == kind;
    if (exists && !lane(place).retired) continue;
    return refuse(request, {Errc::group_too_large, "there are not " + std::to_string(members) +
                                                       " executors (any more) to run this group together"});
  }
  group->shared = shared_in(*request.body);
  group->request = std::move(request);
  for (const auto place : group->lanes) {
    lane(place).queue.push_back({{}, group, 0});
    relist(place);
    touch(place);
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

bool Placement::start_group(const std::shared_ptr<Group>& group) {
  for (const auto place : group->lanes) {
    const auto& it = lane(place);
    if (!it.up || it.used >= it.credit || it.queue.empty() || it.queue.front().group != group) return false;
  }
  const bool there = data_is_there(*group);
  if (group->refused) {
    for (const auto place : group->lanes) {
      lane(place).queue.pop_front();
      relist(place);
      touch(place);
    }
    refuse(group->request, *group->refused);
    return true;
  }
  if (!there) return false;
  for (std::uint32_t member = 0; member < group->lanes.size(); ++member) {
    const auto place = group->lanes[member];
    lane(place).queue.pop_front();
    relist(place);
    auto request = group->request;
    request.key.member = member;
    put(place, std::move(request), group.get());
    touch(place);
  }
  return true;
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

/// The executor of a kind that has nothing to do, or of the next few that take something the one with most
/// room; -1: none takes anything. The cost does not grow with the number of chips.
std::int32_t Placement::best(ExecutorKind kind) const {
  constexpr int few = 8;
  const auto& free = free_[static_cast<std::size_t>(kind)];
  auto chosen = idle_[static_cast<std::size_t>(kind)].next(cursor_);
  if (chosen < 0) {
    const auto room = [this](std::int32_t it) { return lane(it).credit - lane(it).used; };
    const auto first = free.next(cursor_);
    auto candidate = chosen = first;
    for (int seen = 1; seen < few && candidate >= 0; ++seen) {
      candidate = free.next(static_cast<std::size_t>(candidate) + 1);
      if (candidate == first) break;
      if (room(candidate) > room(chosen)) chosen = candidate;
    }
    if (chosen < 0) return -1;
  }
  cursor_ = static_cast<std::size_t>(chosen) + 1;
  return chosen;
}

/// Where its data is, unless others wait there while `best` has nothing to do.
std::int32_t Placement::place_for(const TaskRequest& request, std::int32_t best) const {
  if (data_ == nullptr || lane(best).kind != ExecutorKind::chip) return best;
  const auto near = data_->nearest(arguments_of(*request.body, 0));
  if (near < 0 || near == best) return best;
  const auto& it = lane(near);
  const bool takes_it = it.up && !it.closing && it.used < it.credit && it.queue.empty();
  return takes_it && it.used <= lane(best).used + 1 ? near : best;
}

/// Behind the other runs of its priority, unless it has its place among them.
void Placement::take_turn(RunId id, RunQueue& run, std::size_t kind) {
  if (std::exchange(run.in_turns[kind], true)) return;
  turns_[kind][run.priority].push_back(id);
}

/// The next run in turn among those of the highest priority that have something waiting, taken out of the
/// turns. What has been closed or cancelled since is passed over, so a step costs the same however many runs
/// there are.
std::map<RunId, Placement::RunQueue>::iterator Placement::next_in_turn(std::size_t kind) {
  for (auto& [priority, ids] : turns_[kind]) {
    while (!ids.empty()) {
      const auto run = runs_.find(ids.front());
      ids.pop_front();
      if (run == runs_.end()) continue;
      run->second.in_turns[kind] = false;
      if (!run->second.waiting[kind].empty()) return run;
    }
  }
  return runs_.end();
}

void Placement::place_waiting(Moves& moves) {
  for (std::size_t kind = 0; kind < 3; ++kind) {
    while (waiting_count_[kind] > 0) {
      const auto executor = best(static_cast<ExecutorKind>(kind));
      if (executor < 0) break;
      const auto next = next_in_turn(kind);
      auto& run = next->second;
      auto request = std::move(run.waiting[kind].front());
      run.waiting[kind].pop_front();
      --waiting_count_[kind];
      if (!run.waiting[kind].empty()) take_turn(next->first, run, kind);
      const bool asked = policy_ && static_cast<ExecutorKind>(kind) == ExecutorKind::chip;
      const auto chosen = asked ? ask_policy(request) : place_for(request, executor);
      if (chosen < 0) continue;
      if (run.report) moves.placed[next->first].emplace_back(request.key.task, chosen);
      put(chosen, std::move(request));
    }
  }
}

/// On the chip with least to do. They wait for no credit: what holds it may wait for them.
void Placement::place_remakes() {
  if (data_ == nullptr) return;
  for (auto& request : data_->take_remakes()) remakes_.push_back(std::move(request));
  while (!remakes_.empty()) {
    std::int32_t chosen = -1;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& it = lanes_[i];
      if (it.kind != ExecutorKind::chip || !it.up || it.closing) continue;
      if (chosen < 0 || it.used < lane(chosen).used) chosen = static_cast<std::int32_t>(i);
    }
    const bool ends = !data_->recovers();
    if (chosen < 0 && !ends && any_left(ExecutorKind::chip)) return;
    auto request = std::move(remakes_.front());
    remakes_.pop_front();
    if (ends) {
      refuse(request, {Errc::shut_down, "the node goes down"});
    } else if (chosen < 0) {
      refuse(request, {Errc::chip_retired, "no chip is left for it"});
    } else {
      put(chosen, std::move(request));
    }
  }
}

Placement::Moves Placement::place() {
  Moves moves;
  place_remakes();
  for (std::size_t i = 0; i < touched_.size(); ++i) {  // grows while groups start
    lane(touched_[i]).listed = false;
    drain(touched_[i]);
  }
  touched_.clear();
  place_waiting(moves);
  for (const auto executor : outboxes_) close_outbox(executor);
  outboxes_.clear();
  moves.sends = std::exchange(sends_, {});
  moves.refused = std::exchange(refused_, {});
  return moves;
}

}  // namespace troupe::actors
