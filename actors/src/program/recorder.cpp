#include "program/recorder.hpp"

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

RecordedTask PlanRecorder::copy(const Callable* callable, const detail::SubmitCall& call) const {
  RecordedTask task;
  task.callable = callable;
  task.call = call;
  // The submit makes its own of it.
  if (call.extras) task.call.extras = std::make_shared<SubmitExtras>(*call.extras);
  for (const auto& before : call.after) {
    const auto known = numbers_.find(before.number);
    if (known == numbers_.end()) {
      throw Error(Errc::bad_argument,
                  "plan \"" + recording_.name + "\" cannot have task \"" + callable->name +
                      "\": it comes after task " + std::to_string(before.number) +
                      ", which is not of the plan",
                  "give after(…) to the replay");
    }
    task.after.insert(task.after.end(), known->second.begin(), known->second.end());
  }
  task.call.after.clear();
  return task;
}

void PlanRecorder::keep(RecordedTask task, TaskNumber number) {
  numbers_[number] = {static_cast<std::uint32_t>(recording_.tasks.size())};
  recording_.tasks.push_back(std::move(task));
}

void PlanRecorder::joined(TaskNumber number, const std::vector<TaskNumber>& of) {
  std::vector<std::uint32_t> all;
  for (const auto one : of) {
    const auto& tasks = numbers_.at(one);
    all.insert(all.end(), tasks.begin(), tasks.end());
  }
  numbers_[number] = std::move(all);
}

void PlanRecorder::refuse(const std::string& what, const std::string& hint) {
  auto text = "plan \"" + recording_.name + "\": its program " + what;
  if (!recording_.tasks.empty()) {
    const auto& last = recording_.tasks.back();
    const bool named = last.call.extras && !last.call.extras->name.empty();
    text += ", after it has submitted " + std::to_string(recording_.tasks.size()) +
            " of its tasks (the last is \"" + (named ? last.call.extras->name : last.callable->name) + "\")";
  }
  refused_ = Error(Errc::bad_argument, text, hint);
  throw *refused_;
}

void PlanRecorder::refuse_at(CodeLine at, const std::string& what, const std::string& hint) {
  if (at.file == nullptr || !recording_.names_lines) refuse(what, hint);
  refuse(what + " at " + at.file + ":" + std::to_string(at.line), hint);
}

Recording PlanRecorder::take() {
  if (refused_) throw *refused_;
  return std::move(recording_);
}

}  // namespace troupe::actors
