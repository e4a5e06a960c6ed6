// A placement: which executor a task goes to that may go anywhere, and whose turn it is.
#include <algorithm>

#include "placement/placement.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

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
  return takes_more(it) && it.used <= lane(best).used + 1 ? near : best;
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

void Placement::expect_back(std::int32_t executor, bool soon) {
  auto& it = lane(executor);
  if (it.awaited == soon) return;
  it.awaited = soon;
  auto& count = awaited_[static_cast<std::size_t>(it.kind)];
  soon ? ++count : --count;
}

/// While some are to be back soon, the others take no more than they would have then.
void Placement::share_out(std::size_t kind) {
  if (awaited_[kind] == 0 && share_[kind] == everything) return;
  std::size_t tasks = waiting_count_[kind], executors = awaited_[kind];
  for (const auto& it : lanes_) {
    if (static_cast<std::size_t>(it.kind) != kind || !it.up) continue;
    tasks += it.used;
    ++executors;
  }
  const auto share =
      awaited_[kind] == 0 ? everything : std::max<std::size_t>(1, (tasks + executors - 1) / executors);
  share_[kind] = static_cast<std::uint32_t>(std::min<std::size_t>(share, everything));
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (static_cast<std::size_t>(lanes_[i].kind) == kind) relist(static_cast<std::int32_t>(i));
  }
}

void Placement::place_waiting(Moves& moves) {
  for (std::size_t kind = 0; kind < 3; ++kind) {
    share_out(kind);
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

}  // namespace troupe::actors
