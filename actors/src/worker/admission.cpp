#include "worker/admission.hpp"

#include <algorithm>
#include <utility>

#include "tasks.hpp"

namespace troupe::actors {
namespace {

bool is_task(const std::optional<TaskRequest>& request, RunId run, TaskNumber task) {
  return request && request->key.run == run && request->key.task == task;
}

bool is_meant(const std::optional<TaskRequest>& request, const Cancel& order) {
  return request && actors::is_meant(request->key, order);
}

}  // namespace

std::optional<Admission::Waiting> Admission::next() {
  while (!waiting_.empty() && std::cmp_less(active_.size(), places_)) {
    // The first of those that have the highest priority.
    const auto next = std::max_element(
        waiting_.begin(), waiting_.end(),
        [](const Waiting& a, const Waiting& b) { return a.open.priority < b.open.priority; });
    auto waiting = std::move(*next);
    waiting_.erase(next);
    if (!waiting.over()) return waiting;
  }
  return std::nullopt;
}

std::optional<Admission::Active> Admission::end(RunId run) {
  const auto known = active_.find(run);
  if (known == active_.end()) {
    std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == run; });
    return std::nullopt;
  }
  return std::move(active_.extract(known).mapped());
}

const Admission::Active* Admission::find(RunId run) const {
  const auto known = active_.find(run);
  return known == active_.end() ? nullptr : &known->second;
}

std::size_t Admission::queued() const {
  return static_cast<std::size_t>(
      std::count_if(waiting_.begin(), waiting_.end(), [](const Waiting& it) { return !it.over(); }));
}

const std::pair<const RunId, Admission::Active>* Admission::active_for(RunId run, TaskNumber task) const {
  const auto found = std::find_if(active_.begin(), active_.end(),
                                  [&](const auto& it) { return is_task(it.second.request, run, task); });
  return found == active_.end() ? nullptr : &*found;
}

const Admission::Waiting* Admission::waiting_for(RunId run, TaskNumber task) const {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Waiting& it) { return is_task(it.request, run, task); });
  return found == waiting_.end() ? nullptr : &*found;
}

Admission::Cancelled Admission::cancel(const Cancel& order) {
  Cancelled cancelled;
  std::erase_if(waiting_, [&](Waiting& waiting) {
    if (!is_meant(waiting.request, order)) return false;
    cancelled.waiting.push_back(std::move(waiting));
    return true;
  });
  for (const auto& [run, active] : active_) {
    if (is_meant(active.request, order)) cancelled.active.push_back(&active);
  }
  return cancelled;
}

}  // namespace troupe::actors
