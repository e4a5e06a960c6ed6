#include "run/known_failures.hpp"

#include <string>
#include <utility>

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

void KnownFailures::add(TaskNumber task, runtime::TaskId id, Error error, bool poisoned) {
  const auto [failure, added] = failures_.try_emplace(task, Failure{std::move(error), id, poisoned});
  if (!added) return;
  const auto* root = root_of(failure->second.error);
  const auto known = known_after_.find(root);
  if (poisoned && (known == known_after_.end() || task <= known->second)) return may_forget(task);
  by_root_.emplace(root, next_);
  unknown_.emplace(next_++, task);
}

std::optional<Error> KnownFailures::await(TaskNumber task, TaskNumber latest) {
  const auto known = failures_.find(task);
  if (known == failures_.end()) {
    if (!failed(task)) return std::nullopt;
    return Error(
        Errc::task_failed, "task " + std::to_string(task) + " failed",
        "more than " + std::to_string(remembered) +
            " others have failed since, so its error is not remembered any more; await tasks sooner");
  }
  auto error = known->second.error;
  const auto* root = root_of(error);
  for (auto it = by_root_.lower_bound({root, 0}); it != by_root_.end() && it->first == root;) {
    const auto unknown = unknown_.find(it->second);
    ++it;  // before know() erases it
    know(unknown, latest);
  }
  return error;
}

std::optional<Error> KnownFailures::await_all(TaskNumber upto, TaskNumber latest) {
  std::optional<Error> first;
  for (auto it = unknown_.begin(); it != unknown_.end();) {
    const auto unknown = it++;
    if (unknown->second > upto) continue;
    if (!first) first = failures_.at(unknown->second).error;
    know(unknown, latest);
  }
  return first;
}

std::optional<Error> KnownFailures::first_unknown() const {
  if (unknown_.empty()) return std::nullopt;
  return failures_.at(unknown_.begin()->second).error;
}

bool KnownFailures::failed(TaskNumber task) const {
  if (failures_.contains(task)) return true;
  const auto known = forgotten_.find(task / block);
  return known != forgotten_.end() && known->second[task % block];
}

std::optional<runtime::TaskId> KnownFailures::id_of(TaskNumber task) const {
  const auto known = failures_.find(task);
  if (known == failures_.end()) return std::nullopt;
  return known->second.id;
}

void KnownFailures::know(std::map<Order, TaskNumber>::iterator unknown, TaskNumber latest) {
  const auto task = unknown->second;
  const auto& failure = failures_.at(task);
  const auto* root = root_of(failure.error);
  if (!failure.poisoned) known_after_.try_emplace(root, latest);  // it goes with that failure
  by_root_.erase({root, unknown->first});
  unknown_.erase(unknown);
  may_forget(task);
}

void KnownFailures::may_forget(TaskNumber task) {
  forgettable_.push_back(task);
  if (forgettable_.size() <= remembered) return;
  const auto oldest = forgettable_.front();
  forgettable_.pop_front();
  const auto spent = failures_.find(oldest);
  if (!spent->second.poisoned) known_after_.erase(root_of(spent->second.error));
  failures_.erase(spent);
  forgotten_[oldest / block].set(oldest % block);
}

}  // namespace troupe::actors
