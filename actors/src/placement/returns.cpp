// The way back through a placement: results, deaths, cancels, and what is where.
#include <algorithm>

#include "placement/placement.hpp"
#include "tasks.hpp"

namespace troupe::actors {

std::vector<TaskResult> Placement::down(std::int32_t executor, const Error& reason) {
  auto& it = lane(executor);
  std::vector<TaskResult> lost;
  for (std::size_t i = 0; i < it.flights.size(); ++i) {
    if (it.flights[i].ended) continue;
    const auto ticket = it.first + i;
    // What never left has written nothing.
    const bool left = std::none_of(it.held.begin(), it.held.end(),
                                   [ticket](const TaskRequest& held) { return held.ticket == ticket; });
    lost.push_back(left ? TaskResult{it.flights[i].key, ticket, executor, Outcome::lost, reason}
                        : not_begun(it.flights[i].key, ticket, executor, Outcome::lost, reason));
    skip_followers(executor, it.flights[i].key);
  }
  it.first += it.flights.size();
  it.flights.clear();
  it.held.clear();
  it.used = 0;
  it.expected = {};
  it.pace.chip_is_new();
  it.up = false;
  relist(executor);
  return lost;
}

/// Nobody waits for its answer any more.
void Placement::end(std::int32_t executor, Flight& flight) {
  auto& it = lane(executor);
  flight.ended = true;
  --it.used;
  it.expected -= std::exchange(flight.takes, {});
  relist(executor);
}

std::vector<Ticket> Placement::unanswered(std::int32_t executor) const {
  std::vector<Ticket> tickets;
  const auto& it = lane(executor);
  for (std::size_t i = 0; i < it.flights.size(); ++i) {
    if (!it.flights[i].ended) tickets.push_back(it.first + i);
  }
  return tickets;
}

std::vector<TaskResult> Placement::retire(std::int32_t executor, const Error& reason) {
  auto lost = down(executor, reason);
  auto& it = lane(executor);
  it.retired = true;
  expect_back(executor, false);
  for (auto& entry : std::exchange(it.queue, {})) {
    if (!entry.group) {
      lost.push_back(not_begun(entry.request.key, 0, executor, Outcome::failed, reason));
      continue;
    }
    // All its places go; the first one answers for every member.
    for (const auto other : entry.group->lanes) {
      if (other != executor)
        std::erase_if(lane(other).queue, [&](const Entry& e) { return e.group == entry.group; });
      relist(other);
      touch(other);
    }
    answer_members(entry.group->request, executor, Outcome::failed, reason, lost);
  }
  if (any_left(it.kind)) return lost;
  // What could have gone anywhere can go nowhere now.
  const auto kind = static_cast<std::size_t>(it.kind);
  for (auto& [run, queue] : runs_) {
    for (auto& request : std::exchange(queue.waiting[kind], {}))
      lost.push_back(not_begun(request.key, 0, executor, Outcome::failed, reason));
  }
  waiting_count_[kind] = 0;
  return lost;
}

/// Dependents of a failed task that still wait here must not run. They are skipped here; the executor would
/// have skipped them, too.
void Placement::skip_followers(std::int32_t executor, const TaskKey& key) {
  auto& it = lane(executor);
  std::vector<TaskNumber> failed{key.task};
  auto has_failed = [&](const TaskRequest& request) {
    if (request.key.run != key.run || request.depends.empty()) return false;
    if (std::find_first_of(request.depends.begin(), request.depends.end(), failed.begin(), failed.end()) ==
        request.depends.end()) {
      return false;
    }
    failed.insert(std::upper_bound(failed.begin(), failed.end(), request.key.task), request.key.task);
    return true;
  };
  std::erase_if(it.held, [&](const TaskRequest& request) {
    if (!has_failed(request) || !settle_if_owed(executor, request.ticket)) return false;
    refused_.push_back(not_begun(request.key, request.ticket, executor, Outcome::skipped, std::nullopt));
    return true;
  });
  std::erase_if(it.queue, [&](const Entry& entry) {
    if (entry.group || !has_failed(entry.request)) return false;
    refused_.push_back(not_begun(entry.request.key, 0, executor, Outcome::skipped, std::nullopt));
    return true;
  });
  relist(executor);
}

std::vector<TaskResult> Placement::results(Results& results) {
  auto& all = results.results;
  if (results.executor < 0 || static_cast<std::size_t>(results.executor) >= lanes_.size()) return {};
  auto& it = lane(results.executor);
  auto known = all.begin();
  for (auto& result : all) {
    if (result.ticket < it.first || result.ticket - it.first >= it.flights.size()) continue;
    auto& flight = it.flights[result.ticket - it.first];
    if (flight.ended || !(flight.key == result.key)) continue;
    end(results.executor, flight);
    if (policy_) learn(it, flight, result);
    result.executor = results.executor;
    if (result.outcome != Outcome::done) skip_followers(results.executor, result.key);
    if (&*known != &result) *known = std::move(result);
    ++known;
  }
  all.erase(known, all.end());
  while (!it.flights.empty() && it.flights.front().ended) {
    it.flights.pop_front();
    ++it.first;
  }
  touch(results.executor);
  return std::move(all);
}

std::vector<TaskResult> Placement::cancel(const Cancel& cancel, std::vector<std::int32_t>& holders) {
  std::vector<TaskResult> out;
  auto give_back = [&](const TaskRequest& request) {
    answer_members(request, request.executor, Outcome::cancelled, std::nullopt, out);
  };
  if (auto known = runs_.find(cancel.run); known != runs_.end()) {
    for (std::size_t kind = 0; kind < 3; ++kind) {
      waiting_count_[kind] -= std::erase_if(known->second.waiting[kind], [&](const TaskRequest& request) {
        if (is_meant(request.key, cancel)) give_back(request);
        return is_meant(request.key, cancel);
      });
    }
  }
  std::erase_if(remakes_, [&](const TaskRequest& request) {
    if (is_meant(request.key, cancel)) give_back(request);
    return is_meant(request.key, cancel);
  });
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    auto& it = lanes_[i];
    const auto removed = std::erase_if(it.queue, [&](const Entry& entry) {
      const auto& request = entry.group ? entry.group->request : entry.request;
      if (!is_meant(request.key, cancel)) return false;
      // A group is given back once, from its first place.
      if (!entry.group || entry.group->lanes.front() == static_cast<std::int32_t>(i)) give_back(request);
      return true;
    });
    if (removed > 0) {
      relist(static_cast<std::int32_t>(i));
      touch(static_cast<std::int32_t>(i));
    }
    std::erase_if(it.held, [&](const TaskRequest& request) {
      if (!is_meant(request.key, cancel) || !settle_if_owed(static_cast<std::int32_t>(i), request.ticket))
        return false;
      out.push_back(not_begun(request.key, request.ticket, static_cast<std::int32_t>(i), Outcome::cancelled,
                              std::nullopt));
      return true;
    });
    const bool holds = std::any_of(it.flights.begin(), it.flights.end(), [&](const Flight& flight) {
      return !flight.ended && is_meant(flight.key, cancel);
    });
    if (holds) holders.push_back(static_cast<std::int32_t>(i));
  }
  return out;
}

std::int32_t Placement::holder(RunId run, TaskNumber task) const {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    for (const auto& request : lanes_[i].held) {
      if (request.key.run == run && request.key.task == task) return -1;
    }
    for (const auto& flight : lanes_[i].flights) {
      if (!flight.ended && flight.key.run == run && flight.key.task == task)
        return static_cast<std::int32_t>(i);
    }
  }
  return -1;
}

std::string Placement::why(RunId run, TaskNumber task) const {
  for (const auto& it : lanes_) {
    for (const auto& request : it.held) {
      if (request.key.run == run && request.key.task == task)
        return "waits for its data to come, then goes to " + it.name;
    }
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
