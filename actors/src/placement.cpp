#include "placement.hpp"

#include <algorithm>

#include "chip_state.hpp"
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

void Placement::up(std::int32_t executor, std::uint32_t credit) {
  auto& it = lane(executor);
  it.up = true;
  it.credit = std::max<std::uint32_t>(1, credit);
  touch(executor);
}

std::vector<TaskResult> Placement::down(std::int32_t executor, const Error& reason) {
  auto& it = lane(executor);
  std::vector<TaskResult> lost;
  for (std::size_t i = 0; i < it.flights.size(); ++i) {
    if (it.flights[i].ended) continue;
    lost.push_back({it.flights[i].key, it.first + i, executor, Outcome::lost, reason});
  }
  it.first += it.flights.size();
  it.flights.clear();
  it.used = 0;
  it.up = false;
  return lost;
}

std::vector<TaskResult> Placement::retire(std::int32_t executor, const Error& reason) {
  auto lost = down(executor, reason);
  auto& it = lane(executor);
  it.retired = true;
  for (auto& entry : std::exchange(it.queue, {})) {
    if (!entry.group) {
      lost.push_back({entry.request.key, 0, executor, Outcome::failed, reason});
      continue;
    }
    // All its places go; the first one answers for every member.
    for (const auto other : entry.group->lanes) {
      if (other != executor)
        std::erase_if(lane(other).queue, [&](const Entry& e) { return e.group == entry.group; });
      touch(other);
    }
    for (std::uint32_t member = 0; member < entry.group->request.members; ++member) {
      auto key = entry.group->request.key;
      key.member = member;
      lost.push_back({key, 0, executor, Outcome::failed, reason});
    }
  }
  return lost;
}

void Placement::open(RunId run, std::int8_t priority) {
  runs_[run].priority = priority;
  // Higher priority first; equal ones take turns.
  const auto at = std::find_if(turns_.begin(), turns_.end(),
                               [&](RunId other) { return runs_.at(other).priority < priority; });
  turns_.insert(at, run);
}

void Placement::close(RunId run) {
  const auto known = runs_.find(run);
  if (known == runs_.end()) return;
  for (int kind = 0; kind < 3; ++kind) waiting_count_[kind] -= known->second.waiting[kind].size();
  runs_.erase(known);
  std::erase(turns_, run);
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

/// The chip that holds a device-resident argument; -1: all arguments are in host memory.
std::int32_t Placement::home_of(const Arguments& args) const {
  for (const auto& arg : args.tensors) {
    const auto arena = arg.tensor.buffer().arena;
    if (arena < first_device_arena) continue;
    const auto chip = static_cast<std::int32_t>(arena - first_device_arena);
    if (static_cast<std::size_t>(chip) < lanes_.size()) return chip;
  }
  return -1;
}

void Placement::refuse(const TaskRequest& request, const Error& error) {
  for (std::uint32_t member = 0; member < request.members; ++member) {
    auto key = request.key;
    key.member = member;
    refused_.push_back({key, 0, request.executor, Outcome::failed, error});
  }
}

void Placement::take(Ready& ready) {
  const auto known = runs_.find(ready.run);
  if (known == runs_.end()) return;
  known->second.report = ready.report;
  for (auto& request : ready.requests) {
    const bool group = request.body->extras && !request.body->extras->members.empty();
    if (group) {
      take_group(std::move(request));
      continue;
    }
    if (request.executor < 0) request.executor = home_of(request.body->args);
    if (request.executor < 0) {
      const auto kind = static_cast<std::size_t>(kind_for(request));
      ++waiting_count_[kind];
      known->second.waiting[kind].push_back(std::move(request));
      continue;
    }
    const auto executor = request.executor;
    if (static_cast<std::size_t>(executor) >= lanes_.size() || lane(executor).kind != kind_for(request)) {
      refuse(request,
             {Errc::no_such_chip, "there is no executor number " + std::to_string(executor) + " for it"});
    } else if (lane(executor).retired || lane(executor).closing) {
      refuse(request, {Errc::chip_retired, lane(executor).name + " is out of use"});
    } else {
      lane(executor).queue.push_back({std::move(request), nullptr});
      touch(executor);
    }
  }
}

void Placement::take_group(TaskRequest request) {
  auto group = std::make_shared<Group>();
  const auto kind = kind_for(request);
  const auto& extras = *request.body->extras;
  const auto members = extras.members.size();
  for (std::size_t i = 0; i < members; ++i) {
    const auto wanted = extras.chips.empty() ? home_of(extras.members[i]) : extras.chips[i];
    group->lanes.push_back(wanted);
  }
  auto taken = [&](std::int32_t candidate) {
    return std::find(group->lanes.begin(), group->lanes.end(), candidate) != group->lanes.end();
  };
  for (auto& place : group->lanes) {
    if (place >= 0) continue;
    std::int32_t chosen = -1;
    std::size_t least = ~std::size_t{0};
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& it = lanes_[i];
      const auto load = it.used + it.queue.size() + (it.up ? 0 : 1000);
      if (it.kind != kind || it.retired || it.closing || taken(static_cast<std::int32_t>(i)) || load >= least)
        continue;
      chosen = static_cast<std::int32_t>(i);
      least = load;
    }
    place = chosen;
  }
  for (const auto place : group->lanes) {
    const bool exists =
        place >= 0 && static_cast<std::size_t>(place) < lanes_.size() && lane(place).kind == kind;
    if (exists && !lane(place).retired) continue;
    return refuse(request, {Errc::group_too_large, "there are not " + std::to_string(members) +
                                                       " executors (any more) to run this group together"});
  }
  group->request = std::move(request);
  for (const auto place : group->lanes) {
    lane(place).queue.push_back({{}, group});
    touch(place);
  }
}

void Placement::put(std::int32_t executor, TaskRequest request) {
  auto& it = lane(executor);
  request.ticket = it.first + it.flights.size();
  request.executor = executor;
  it.flights.push_back({request.key, false});
  ++it.used;
  if (it.outbox.empty()) outboxes_.push_back(executor);
  it.outbox.push_back(std::move(request));
}

bool Placement::start_group(const std::shared_ptr<Group>& group) {
  for (const auto place : group->lanes) {
    const auto& it = lane(place);
    if (!it.up || it.used >= it.credit || it.queue.empty() || it.queue.front().group != group) return false;
  }
  for (std::uint32_t member = 0; member < group->lanes.size(); ++member) {
    const auto place = group->lanes[member];
    lane(place).queue.pop_front();
    auto request = group->request;
    request.key.member = member;
    put(place, std::move(request));
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

/// The executor of a kind with most free credit; -1: none has any.
std::int32_t Placement::best(ExecutorKind kind) const {
  std::int32_t chosen = -1;
  std::uint32_t most = 0;
  for (std::size_t n = 0; n < lanes_.size(); ++n) {
    const auto i = (cursor_ + n) % lanes_.size();
    const auto& it = lanes_[i];
    if (it.kind != kind || !it.up || it.closing || it.used >= it.credit || !it.queue.empty()) continue;
    if (it.used == 0) {
      cursor_ = i + 1;
      return static_cast<std::int32_t>(i);
    }
    if (it.credit - it.used > most) {
      most = it.credit - it.used;
      chosen = static_cast<std::int32_t>(i);
    }
  }
  return chosen;
}

void Placement::place_waiting(Moves& moves) {
  for (std::size_t kind = 0; kind < 3; ++kind) {
    while (waiting_count_[kind] > 0) {
      const auto executor = best(static_cast<ExecutorKind>(kind));
      if (executor < 0) break;
      // The next run in turn among those of the highest priority that have something waiting.
      RunQueue* next = nullptr;
      RunId id = 0;
      std::size_t picked = 0;
      for (std::size_t n = 0; n < turns_.size(); ++n) {
        const auto i = (turn_ + n) % turns_.size();
        auto& run = runs_.at(turns_[i]);
        if (run.waiting[kind].empty() || (next != nullptr && run.priority <= next->priority)) continue;
        next = &run;
        id = turns_[i];
        picked = i;
      }
      turn_ = picked + 1;
      auto request = std::move(next->waiting[kind].front());
      next->waiting[kind].pop_front();
      --waiting_count_[kind];
      if (next->report) moves.placed[id].emplace_back(request.key.task, executor);
      put(executor, std::move(request));
    }
  }
}

Placement::Moves Placement::place() {
  Moves moves;
  for (std::size_t i = 0; i < touched_.size(); ++i) {  // grows while groups start
    lane(touched_[i]).listed = false;
    drain(touched_[i]);
  }
  touched_.clear();
  place_waiting(moves);
  for (const auto executor : outboxes_) {
    moves.sends.push_back({executor, std::exchange(lane(executor).outbox, {})});
  }
  outboxes_.clear();
  moves.refused = std::exchange(refused_, {});
  return moves;
}

std::vector<TaskResult> Placement::results(Results& results) {
  std::vector<TaskResult> out;
  if (results.executor < 0 || static_cast<std::size_t>(results.executor) >= lanes_.size()) return out;
  auto& it = lane(results.executor);
  for (auto& result : results.results) {
    if (result.ticket < it.first || result.ticket - it.first >= it.flights.size()) continue;
    auto& flight = it.flights[result.ticket - it.first];
    if (flight.ended || !(flight.key == result.key)) continue;
    flight.ended = true;
    --it.used;
    result.executor = results.executor;
    if (result.outcome != Outcome::done) {
      // Dependents that still wait here must not run: they are skipped as the executor would have.
      std::vector<TaskNumber> failed{result.key.task};
      for (auto& entry : it.queue) {
        auto& request = entry.request;
        if (entry.group || request.key.run != result.key.run || request.depends.empty()) continue;
        if (std::find_first_of(request.depends.begin(), request.depends.end(), failed.begin(),
                               failed.end()) == request.depends.end()) {
          continue;
        }
        failed.push_back(request.key.task);
        refused_.push_back({request.key, 0, results.executor, Outcome::skipped, std::nullopt});
      }
      std::erase_if(it.queue, [&](const Entry& entry) {
        return !entry.group && entry.request.key.run == result.key.run &&
               entry.request.key.task != result.key.task &&
               std::find(failed.begin(), failed.end(), entry.request.key.task) != failed.end();
      });
    }
    out.push_back(std::move(result));
  }
  while (!it.flights.empty() && it.flights.front().ended) {
    it.flights.pop_front();
    ++it.first;
  }
  touch(results.executor);
  return out;
}

std::vector<TaskResult> Placement::cancel(const Cancel& cancel, std::vector<std::int32_t>& holders) {
  std::vector<TaskResult> out;
  auto meant = [&](const TaskKey& key) {
    return key.run == cancel.run && (cancel.task == 0 || key.task == cancel.task);
  };
  auto answer = [&](const TaskRequest& request) {
    for (std::uint32_t member = 0; member < request.members; ++member) {
      auto key = request.key;
      key.member = member;
      out.push_back({key, 0, request.executor, Outcome::cancelled, std::nullopt});
    }
  };
  if (auto known = runs_.find(cancel.run); known != runs_.end()) {
    for (std::size_t kind = 0; kind < 3; ++kind) {
      waiting_count_[kind] -= std::erase_if(known->second.waiting[kind], [&](const TaskRequest& request) {
        if (meant(request.key)) answer(request);
        return meant(request.key);
      });
    }
  }
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    auto& it = lanes_[i];
    const auto removed = std::erase_if(it.queue, [&](const Entry& entry) {
      const auto& request = entry.group ? entry.group->request : entry.request;
      if (!meant(request.key)) return false;
      // A group answers once, from its first place.
      if (!entry.group || entry.group->lanes.front() == static_cast<std::int32_t>(i)) answer(request);
      return true;
    });
    if (removed > 0) touch(static_cast<std::int32_t>(i));
    const bool holds = std::any_of(it.flights.begin(), it.flights.end(),
                                   [&](const Flight& flight) { return !flight.ended && meant(flight.key); });
    if (holds) holders.push_back(static_cast<std::int32_t>(i));
  }
  return out;
}

std::string Placement::why(RunId run, TaskNumber task) const {
  for (const auto& it : lanes_) {
    for (const auto& flight : it.flights) {
      if (!flight.ended && flight.key.run == run && flight.key.task == task) return "with " + it.name;
    }
    for (const auto& entry : it.queue) {
      const auto& request = entry.group ? entry.group->request : entry.request;
      if (request.key.run != run || request.key.task != task) continue;
      if (!it.up) return "waits for " + it.name + " to come back";
      return entry.group ? "waits until its whole group can start" : "waits for credit of " + it.name;
    }
  }
  if (auto known = runs_.find(run); known != runs_.end()) {
    for (const auto& queue : known->second.waiting) {
      for (const auto& request : queue) {
        if (request.key.task == task) return "waits for any executor with credit";
      }
    }
  }
  return "not with the node";
}

}  // namespace troupe::actors
