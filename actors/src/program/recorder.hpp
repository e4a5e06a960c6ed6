#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan.hpp"
#include "troupe/actors/waiting.hpp"

namespace troupe::actors {

/// What a program submits while it is recorded. Plain state of its core.
class PlanRecorder {
 public:
  explicit PlanRecorder(Recording begin) : recording_(std::move(begin)) {}

  /// A submit as it was made; kept once it has been taken, under that number.
  RecordedTask copy(const Callable* callable, const detail::SubmitCall& call) const;
  void keep(RecordedTask task, TaskNumber number);
  /// That number stands for the end of all of those.
  void joined(TaskNumber number, const std::vector<TaskNumber>& of);
  void made(std::uint64_t intermediate, const runtime::Shape& shape, runtime::DType dtype) {
    recording_.intermediates.push_back({intermediate, {shape, dtype}});
  }
  /// The program does what a plan cannot do: throws, now and at the end.
  [[noreturn]] void refuse(const std::string& what, const std::string& hint);
  [[noreturn]] void refuse_at(CodeLine at, const std::string& what, const std::string& hint);
  /// All of it, once the program has returned.
  Recording take();

 private:
  Recording recording_;
  std::map<TaskNumber, std::vector<std::uint32_t>>
      numbers_;  ///< recorded tasks, by what the program calls them
  std::optional<Error> refused_;
};

}  // namespace troupe::actors
