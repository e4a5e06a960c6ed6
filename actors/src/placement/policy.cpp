// A placement that asks a policy, and learns what that is shown.
#include <algorithm>

#include "data/data.hpp"
#include "placement/placement.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {
namespace {

using namespace std::chrono_literals;

/// Of all that is on one chip: more is as good as for ever.
constexpr std::chrono::nanoseconds most_expected = std::chrono::hours(24 * 365);

std::uint64_t bytes_of(const Arguments& args) {
  std::uint64_t bytes = 0;
  for (const auto& operand : args.tensors) bytes += operand.tensor.bytes();
  return bytes;
}

}  // namespace

/// Ends come nearly in order: what a task and those before it took together is counted once.
void Placement::Pace::note(std::int64_t began, std::int64_t ended) {
  constexpr double of_the_latest = 1.0 / 64;
  worked_ += static_cast<double>(ended - began) - of_the_latest * worked_;
  wall_ += static_cast<double>(std::max<std::int64_t>(0, ended - std::max(began, last_end_))) -
           of_the_latest * wall_;
  last_end_ = std::max(last_end_, ended);
}

double Placement::Pace::at_once() const { return wall_ > 0 ? std::max(1.0, worked_ / wall_) : 1.0; }

void Placement::expect(Lane& lane, Flight& flight, const TaskRequest& request) {
  const auto& callable = *request.body->callable;
  if (callable.data_task != DataTask::none) return;
  flight.model = costs_.model_of(callable.name, bytes_of(arguments_of(*request.body, request.key.member)));
  flight.takes = std::min(costs_.takes(flight.model).value_or(0ns), most_expected - lane.expected);
  lane.expected += flight.takes;
}

/// What the chip says of times is checked: a device may say what it likes.
void Placement::learn(Lane& lane, const Flight& flight, const TaskResult& result) {
  if (flight.model == 0 || result.outcome != Outcome::done) return;
  if (result.began < 0 || result.ended < result.began) return;
  // Of a device that does not know; but virtual time begins at 0.
  if (result.began == 0 && result.ended > std::chrono::nanoseconds(1min).count()) return;
  const std::chrono::nanoseconds took(result.ended - result.began);
  if (took > Costs::longest) return;
  costs_.took(flight.model, took);
  lane.pace.note(result.began, result.ended);
}

/// -1: it is refused.
std::int32_t Placement::ask_policy(const TaskRequest& request) {
  const auto& args = arguments_of(*request.body, 0);
  const auto& callable = *request.body->callable;
  const TaskToPlace task{callable.name, request.body->name(), bytes_of(args), request.priority};
  const auto takes = costs_.takes(costs_.known_model(callable.name, task.bytes));
  present_.assign(lanes_.size(), 0);
  const auto reads = data_ != nullptr ? data_->present(args, present_) : 0;
  shown_.clear();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto& it = lanes_[i];
    if (it.kind != ExecutorKind::chip || !takes_more(it)) continue;
    const auto busy = static_cast<double>(it.expected.count()) / it.pace.at_once();
    const auto missing = reads - present_[i];
    shown_.push_back({static_cast<std::int32_t>(i), it.used,
                      std::chrono::nanoseconds(static_cast<std::int64_t>(busy)), missing,
                      costs_.brings(missing), takes});
  }
  std::string wrong;
  try {
    const MayNotWait here(MayNotWait::Code::placement_policy);
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
