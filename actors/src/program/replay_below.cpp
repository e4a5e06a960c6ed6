// Plans of a node, submitted by a program of the pod that it is a part of: there they are one task.
#include "program/core.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// What the plan does with a parameter, as an argument of a task says it.
runtime::Tag tag_of(const PlanParameter& parameter) {
  if (!parameter.writes) return runtime::Tag::in;
  return parameter.overwritten ? runtime::Tag::out : runtime::Tag::inout;
}

/// The program that submits the plan with the arguments of the task.
BoundProgram replay_of(const Plan& plan, const Arguments& values) {
  detail::PlanCall call;
  auto given = detail::reader(values);
  std::size_t scalar = 0;
  for (const auto& parameter : plan.image()->parameters) {
    auto& argument = call.arguments.emplace_back();
    argument.is_tensor = parameter.is_tensor;
    if (parameter.is_tensor) {
      argument.tensor = given.next<Tensor>(plan.name());
    } else {
      argument.scalar = {values.scalars[scalar++], parameter.scalar.kind};
    }
  }
  return detail::bind_plan(plan, std::move(call));
}

}  // namespace

int ProgramCore::node_of(const PlanImage& plan) const {
  if (!node_->executors.of_workers() || plan.node == node_->number || plan.system.lock() != node_->services)
    return -1;
  const auto above = node_->path + "/";
  if (plan.path.compare(0, above.size(), above) != 0) return -1;
  return node_->executors.node_called(std::string_view(plan.path).substr(above.size()));
}

TaskNumber ProgramCore::submit_plan_below(const Plan& plan, const detail::PlanCall& given, int node) {
  const auto& image = *plan.image();
  check_plan_arguments(image, given);
  auto callable = std::make_shared<Callable>();
  callable->name = image.name;
  callable->kind = CallableKind::program;
  callable->program = [plan](const Arguments& values) { return replay_of(plan, values); };
  detail::SubmitCall call;
  for (std::size_t i = 0; i < given.arguments.size(); ++i) {
    const auto& argument = given.arguments[i];
    const auto& parameter = image.parameters[i];
    if (argument.is_tensor) {
      call.args.add(TensorUse{{argument.tensor.description(), tag_of(parameter)}, argument.tensor.hold()});
    } else {
      const runtime::ScalarArg word{plan_word(argument.scalar, parameter.scalar.kind, i),
                                    parameter.scalar.kind};
      call.args.add(detail::SlotScalar{word, recorder_ ? argument.slot : -1});
    }
  }
  call.after = given.after;
  call.target = OnExecutor{node};
  if (given.priority) call.priority = *given.priority;
  call.deadline = given.deadline;
  call.retry = given.retry;
  if (given.idempotent) call.more().idempotent = true;
  const auto* known = callable.get();
  call.more().owned = std::move(callable);
  return submit(known, std::move(call));
}

}  // namespace troupe::actors
