// A placement that asks a policy, and learns what that is shown.
#include <algorithm>

#include "placement/placement.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {
namespace {

std::uint64_t bytes_of(const Arguments& args) {
  std::uint64_t bytes = 0;
  for (const auto& operand : args.tensors) bytes += operand.tensor.bytes();
  return bytes;
}

}  // namespace

/// Ends come nearly in order: what a task and those before it took together is counted once.
void Placement::Pace::note(std::int64_t began, std::int64_t ended) {
  worked += ended - began;
  wall += std::max<std::int64_t>(0, ended - std::max(began, last_end));
  last_end = std::max(last_end, ended);
}

double Placement::Pace::at_once() const {
  return wall > 0 ? std::max(1.0, static_cast<double>(worked) / static_cast<double>(wall)) : 1.0;
}

void Placement::expect(Lane& lane, Flight& flight, const TaskRequest& request) {
  const auto& callable = *request.body->callable;
  if (callable.data_task != DataTask::none) return;
  flight.model = costs_.model_of(callable.name, bytes_of(arguments_of(*request.body, request.key.member)));
  flight.takes = costs_.takes(flight.model).value_or(std::chrono::nanoseconds(0));
  lane.expected += flight.takes;
}

void Placement::learn(Lane& lane, Flight& flight, const TaskResult* result) {
  lane.expected -= flight.takes;
  const bool known = result->outcome == Outcome::done && (result->began != 0 || result->ended != 0);
  if (flight.model == 0 || !known) return;
  costs_.took(flight.model, std::chrono::nanoseconds(result->ended - result->began));
  lane.pace.note(result->began, result->ended);
}

/// -1: it is refused.
std::int32_t Placement::ask_policy(const TaskRequest& request) {
  const auto& args = arguments_of(*request.body, 0);
  const auto& callable = *request.body->callable;
  const TaskToPlace task{callable.name, request.body->name(), bytes_of(args), request.priority};
  const auto takes = costs_.takes(costs_.model_of(callable.name, task.bytes));
  present_.assign(lanes_.size(), 0);
  const auto reads = data_ != nullptr ? data_->present(args, present_) : 0;
  shown_.clear();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto& it = lanes_[i];
    if (it.kind != ExecutorKind::chip || !it.up || it.closing || it.used >= it.credit || !it.queue.empty())
      continue;
    const auto busy = static_cast<double>(it.expected.count()) / it.pace.at_once();
    const auto missing = reads - present_[i];
    shown_.push_back({static_cast<std::int32_t>(i), it.used,
                      std::chrono::nanoseconds(static_cast<std::int64_t>(busy)), missing,
                      costs_.brings(missing), takes});
  }
  std::string wrong;
  try {
    const auto chosen = policy_(task, shown_);
    if (chosen < shown_.size()) return shown_[chosen].chip;
    wrong =
        "answered with place " + std::to_string(chosen) + " of a list of " + std::to_string(shown_.size());
  } catch (...) {
    wrong = "threw: " + runtime::text_of(std::current_exception());
  }
  refuse(request, {Errc::bad_argument, "the placement policy of the node " + wrong,
                   "it answers with the place of a chip in the list that it is given"});
  return -1;
}

}  // namespace troupe::actors
