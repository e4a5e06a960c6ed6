#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/protocol.hpp"

// What several rooms ask about a task and its arguments.
namespace troupe::actors {

/// Arena number of a program's own names for its intermediates; the offset is the number.
constexpr std::uint32_t program_arena = 0xFFFF'FFFD;

/// The arguments of a member of a task.
inline const Arguments& arguments_of(const TaskBody& body, std::uint32_t member) {
  return body.extras && !body.extras->members.empty() ? body.extras->members[member] : body.args;
}

/// Calls `visit(arguments)` for each member of a task.
template <class Visit>
void for_each_member(const TaskBody& body, Visit visit) {
  if (!body.extras || body.extras->members.empty()) return visit(body.args);
  for (const auto& member : body.extras->members) visit(member);
}

/// Of a part of a plan: whether its last argument is memory that its tasks use among themselves.
bool has_workspace(const Bundle& bundle);

/// What is answered for a task that did not begin.
inline TaskResult not_begun(const TaskKey& key, Ticket ticket, std::int32_t executor, Outcome outcome,
                            std::optional<Error> error = {}) {
  return {key, ticket, executor, outcome, std::move(error), 0, true};
}
inline TaskResult not_begun(const TaskRequest& request, Outcome outcome, std::optional<Error> error = {}) {
  return not_begun(request.key, request.ticket, -1, outcome, std::move(error));
}

/// Whether a task has to come after another.
inline bool follows(const TaskRequest& task, const TaskKey& other) {
  return other.run == task.key.run &&
         std::binary_search(task.depends.begin(), task.depends.end(), other.task);
}

/// Whether an order, or a question, is about the task.
inline bool is_meant(const TaskKey& task, const Cancel& order) {
  return task.run == order.run && (order.task == 0 || task.task == order.task);
}
inline bool is_meant(const TaskKey& task, const Why& question) {
  return task.run == question.run && task.task == question.task;
}

/// The same for each member of a task that did not begin.
inline void answer_members(const TaskRequest& request, std::int32_t executor, Outcome outcome,
                           const std::optional<Error>& error, std::vector<TaskResult>& out) {
  for (std::uint32_t member = 0; member < request.members; ++member) {
    auto key = request.key;
    key.member = member;
    out.push_back(not_begun(key, 0, executor, outcome, error));
  }
}

/// The chip of a node that has a device-resident argument; -1: none of its chips has. Where it runs is then
/// no choice any more.
inline std::int32_t home_of(const Arguments& args, std::uint32_t node) {
  for (const auto& arg : args.tensors) {
    if (const auto chip = chip_with_arena(node, arg.tensor.buffer().arena); chip >= 0) return chip;
  }
  return -1;
}

}  // namespace troupe::actors
