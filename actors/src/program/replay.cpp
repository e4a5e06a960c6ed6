// Plans in a program: a program that is recorded, and one that is submitted again.
#include <algorithm>

#include "program/core.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

Buffer* buffer_of(const Tensor& tensor) { return tensor.hold() ? tensor.hold()->buffer : nullptr; }

std::string parameter(const PlanImage& plan, std::size_t index) {
  return "plan \"" + plan.name + "\": parameter " + std::to_string(index);
}

/// The number as the parameter wants it; one that its type does not hold exactly is refused.
template <class T>
std::uint64_t word_as(const runtime::ScalarArg& given, std::size_t index) {
  return runtime::to_u64(runtime::convert_scalar<T>(given, index));
}

/// Bytes that tell whether two tensors share memory.
struct Place {
  std::uint64_t memory = 0, number = 0;
  runtime::Box box;
};
Place place_of(const runtime::Tensor& view, const Buffer* buffer) {
  Place place{0, 0, runtime::make_box(view)};
  const auto ref = view.buffer();
  if (ref.arena == program_arena) {
    place.memory = 2;
    place.number = ref.offset;
  } else if (buffer != nullptr) {
    place.number = buffer->number();
  } else {
    place.memory = 1;
    place.number = std::uint64_t{ref.arena} << 32U | ref.generation;
    place.box.lo += ref.offset;
    place.box.hi += ref.offset;
  }
  return place;
}
bool meet(const Place& a, const Place& b) {
  return a.memory == b.memory && a.number == b.number && a.box.lo != a.box.hi && b.box.lo != b.box.hi &&
         runtime::overlaps(a.box, b.box);
}

void check_tensor(const PlanImage& plan, std::size_t index, const detail::PlanArgument& given) {
  const auto& wanted = plan.parameters[index];
  const auto& view = given.tensor.description();
  if (!view.valid())
    throw Error(Errc::bad_argument, parameter(plan, index) + " got a tensor that describes nothing");
  if (view.dtype() != wanted.tensor.dtype() || view.shape() != wanted.tensor.shape() ||
      view.strides() != wanted.tensor.strides()) {
    throw Error(Errc::bad_argument,
                parameter(plan, index) + " was recorded with " + to_string(wanted.tensor) + ", not with " +
                    to_string(view),
                "record another plan for tensors of this kind");
  }
  if (!given.tag) return;
  if (wanted.writes && *given.tag == runtime::Tag::in)
    throw Error(Errc::bad_argument, parameter(plan, index) + " is given as in(…), but the plan writes it",
                "say out(…) or inout(…)");
  if (wanted.reads && (*given.tag == runtime::Tag::out || *given.tag == runtime::Tag::out_existing))
    throw Error(Errc::bad_argument,
                parameter(plan, index) + " is given as out(…), but the plan reads it, too", "say inout(…)");
  if (*given.tag == runtime::Tag::no_dep)
    throw Error(Errc::bad_argument, parameter(plan, index) + " is given as no_dep(…)",
                "a plan keeps the order of what it uses");
}

/// What overlaps what is part of a plan: its edges say so.
void check_aliases(const PlanImage& plan, const std::vector<Tensor>& slots) {
  std::vector<std::optional<Place>> places(slots.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].valid() && slots[i].bytes() > 0)
      places[i] = place_of(slots[i].description(), buffer_of(slots[i]));
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!places[i]) continue;
    const auto& mine = plan.parameters[i];
    for (std::size_t k = 0; k < i; ++k) {
      if (!places[k]) continue;
      const auto& other = plan.parameters[k];
      const bool together = mine.memory == other.memory && mine.memory != 0 &&
                            meet(place_of(mine.tensor, nullptr), place_of(other.tensor, nullptr));
      const bool now = meet(*places[i], *places[k]);
      const auto shift = [](const runtime::Tensor& a, const runtime::Tensor& b) {
        return a.buffer().offset + a.byte_offset() - b.buffer().offset - b.byte_offset();
      };
      const bool as_recorded =
          together == now && (!together || shift(mine.tensor, other.tensor) ==
                                               shift(slots[i].description(), slots[k].description()));
      if (as_recorded || (!together && !mine.writes && !other.writes)) continue;
      throw Error(Errc::bad_argument,
                  parameter(plan, i) + " and parameter " + std::to_string(k) +
                      (now ? " share bytes in another way than those it was recorded with"
                           : " share no bytes; those it was recorded with did"),
                  "record another plan for tensors that lie to each other like this");
    }
    for (const auto& capture : plan.captures) {
      const auto place = place_of(capture.whole.tensor, capture.whole.buffer);
      // A part of the same tensor was a parameter then, and is known to be apart from what the plan keeps.
      if (!meet(*places[i], place) || (!mine.writes && !capture.writes)) continue;
      if (mine.tensor == slots[i].description()) continue;
      throw Error(Errc::bad_argument,
                  parameter(plan, i) +
                      " got a tensor that the plan keeps and uses itself: " + to_string(capture.whole.tensor),
                  "make it a parameter of the recorded program, too");
    }
  }
}

}  // namespace

std::uint64_t plan_word(const runtime::ScalarArg& given, runtime::ScalarKind wanted, std::size_t index) {
  using Kind = runtime::ScalarKind;
  switch (wanted) {
    case Kind::i8:
      return word_as<std::int8_t>(given, index);
    case Kind::u8:
      return word_as<std::uint8_t>(given, index);
    case Kind::i16:
      return word_as<std::int16_t>(given, index);
    case Kind::u16:
      return word_as<std::uint16_t>(given, index);
    case Kind::i32:
      return word_as<std::int32_t>(given, index);
    case Kind::u32:
      return word_as<std::uint32_t>(given, index);
    case Kind::i64:
      return word_as<std::int64_t>(given, index);
    case Kind::u64:
      return word_as<std::uint64_t>(given, index);
    case Kind::boolean:
      return word_as<bool>(given, index);
    case Kind::f32:
      return word_as<float>(given, index);
    case Kind::f64:
      return word_as<double>(given, index);
    case Kind::f16:
      return word_as<runtime::Float16>(given, index);
    case Kind::bf16:
      return word_as<runtime::BFloat16>(given, index);
    case Kind::any:
      break;
  }
  return given.word;
}

Plan ProgramCore::record(detail::PlanRecord& record, Orchestrator& orchestrator) {
  check_alive();
  if (recorder_) recorder_->refuse("records another plan", "record that one before, and submit it here");
  Recording begin;
  begin.name = std::move(record.name);
  begin.node = node_->number;
  begin.path = node_->path;
  begin.system = node_->services;
  begin.callables = node_->callables;
  begin.arena_bytes = node_->arena_bytes;
  begin.one_chip = !node_->executors.of_workers() && node_->executors.chips() == 1;
  begin.keep_domain = [link = node_->link](std::uint64_t domain) {
    return NodeLink::keep_domain(link, domain);
  };
  begin.names_lines = record.names_lines;
  begin.parameters = std::move(record.parameters);
  std::vector<Tensor> tensors;
  for (auto& given : begin.parameters) {
    if (!given.is_tensor) continue;
    if (!given.tensor.valid())
      throw Error(Errc::bad_argument, "a program is recorded with a tensor that describes nothing");
    given.tensor = with_buffer(given.tensor);
    tensors.push_back(given.tensor);
  }
  record.take(tensors);
  recorder_ = std::make_unique<PlanRecorder>(std::move(begin));
  struct Over {
    ProgramCore* core;
    ~Over() {
      core->recorder_.reset();
      core->send_domain_releases();
    }
  } over{this};
  if (const auto frame = record.body(orchestrator)) {
    frame.resume();
    if (!frame.done())
      recorder_->refuse("waits for something", "what is recorded submits, and waits for nothing");
    if (frame.failure()) std::rethrow_exception(frame.failure());
  }
  return Plan(compile(recorder_->take()));
}

void ProgramCore::check_plan(const PlanImage& plan, const detail::PlanCall& call) const {
  if (plan.system.lock() != node_->services || plan.node != node_->number) {
    throw Error(
        Errc::wrong_program,
        "plan \"" + plan.name + "\" was recorded by " + plan.path + " and runs there, not on " + node_->path,
        "record it on this node");
  }
  check_plan_arguments(plan, call);
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    if (!call.arguments[i].is_tensor) continue;
    const auto& tensor = call.arguments[i].tensor;
    if (tensor.hold() && tensor.hold()->system != nullptr && tensor.hold()->system != node_->services.get())
      throw Error(Errc::wrong_program, parameter(plan, i) + " is a tensor of another System",
                  of_another_system);
    const auto arena = tensor.description().buffer().arena;
    if (is_device_arena(arena) && chip_with_arena(node_->number, arena) < 0)
      throw Error(Errc::bad_argument,
                  parameter(plan, i) + " lives on a chip of another node, not of " + node_->name,
                  "copy it into host memory first (copy_from): no node reaches into another's chips");
  }
  check_steps(plan, call);
}

void ProgramCore::check_plan_arguments(const PlanImage& plan, const detail::PlanCall& call) const {
  if (call.arguments.size() != plan.parameters.size()) {
    throw Error(Errc::bad_argument, "plan \"" + plan.name + "\" takes " +
                                        std::to_string(plan.parameters.size()) + " arguments, not " +
                                        std::to_string(call.arguments.size()));
  }
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    const auto& given = call.arguments[i];
    const auto& wanted = plan.parameters[i];
    if (given.is_tensor != wanted.is_tensor)
      throw Error(Errc::bad_argument,
                  parameter(plan, i) + (wanted.is_tensor ? " is a tensor, and got a number"
                                                         : " is a number, and got a tensor"));
    if (given.is_tensor) {
      check_tensor(plan, i, given);
      continue;
    }
    if (recorder_ && given.slot >= 0 && (!wanted.is_slot || given.scalar.kind != wanted.scalar.kind)) {
      throw Error(Errc::bad_argument,
                  parameter(plan, i) + (wanted.is_slot ? " is a slot of another type than the one it is given"
                                                       : " is a plain number, and is given a slot"),
                  "take it as a Slot of the same type in both programs");
    }
    if (const auto word = plan_word(given.scalar, wanted.scalar.kind, i);
        !wanted.is_slot && word != wanted.scalar.word) {
      throw Error(
          Errc::bad_argument,
          parameter(plan, i) + " is a plain number, which stays what it was when the plan was recorded",
          "take it as Slot<T> in the recorded program, or record another plan for this value");
    }
  }
}

/// A step with what this replay was given.
detail::SubmitCall ProgramCore::bound_call(const PlanImage& plan, const PlanStep& step, PlanValues& values,
                                           std::vector<Args>& members) const {
  detail::SubmitCall call;
  call.target = step.call.target;
  call.priority = values.call->priority.value_or(step.call.priority);
  call.deadline = values.call->deadline ? values.call->deadline : step.call.deadline;
  call.retry = values.call->retry ? values.call->retry : step.call.retry;
  if (step.call.extras) call.extras = std::make_shared<SubmitExtras>(*step.call.extras);
  if (values.call->idempotent) call.more().idempotent = true;
  call.after = values.call->after;
  for (const auto before : step.after) call.after.push_back(After{place_, values.numbers[before]});
  std::size_t next = 0;
  const auto bind = [&](const Args& from, Args& to) {
    to.keeper = recorder_ ? 0 : keeper_;  // a recorder wants to see all of what keeps memory
    to.home = from.home;
    to.values.tensors.reserve(from.values.tensors.size());
    for (const auto& operand : from.values.tensors) {
      const auto root = step.roots[next++];
      TensorUse use{operand, nullptr};
      switch (root.kind) {
        case PlanRoot::Kind::fixed:
          break;
        case PlanRoot::Kind::slot:
          use.arg.tensor = rebound(operand.tensor, plan.parameters[root.index].tensor,
                                   values.slots[root.index].description());
          use.hold = values.slots[root.index].hold();
          break;
        case PlanRoot::Kind::captured:
          use.hold = plan.captures[root.index].hold;
          break;
        case PlanRoot::Kind::intermediate: {
          const auto& made = values.intermediates[root.index];
          use.arg.tensor = operand.tensor.allocated() ? operand.tensor.in_buffer(made.description().buffer())
                                                      : made.description();
          use.hold = made.hold();
          break;
        }
      }
      to.add(use);
    }
    to.domains = from.domains;
    to.values.scalars = from.values.scalars;
    to.values.scalar_kinds = from.values.scalar_kinds;
    for (const auto& slot : from.slots) {
      to.values.scalars[slot.scalar] = values.words[static_cast<std::size_t>(slot.slot)];
      if (const auto outer = values.outer[static_cast<std::size_t>(slot.slot)]; outer >= 0)
        to.slots.push_back({slot.scalar, outer});
    }
  };
  bind(step.call.args, call.args);
  for (const auto& member : step.members) bind(member, members.emplace_back());
  return call;
}

TaskNumber ProgramCore::submit_plan(const Plan& given, detail::PlanCall call) {
  check_alive();
  if (!given) throw Error(Errc::bad_argument, "an empty Plan", "keep what record returns");
  const auto& plan = *given.image();
  if (const auto below = node_of(plan); below >= 0) return submit_plan_below(given, call, below);
  check_plan(plan, call);
  PlanValues values;
  values.call = &call;
  values.intermediates.resize(plan.intermediates.size());
  values.numbers.reserve(plan.steps.size());
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    const auto& argument = call.arguments[i];
    values.slots.push_back(argument.is_tensor ? with_buffer(argument.tensor) : Tensor());
    values.words.push_back(
        argument.is_tensor ? 0 : plan_word(argument.scalar, plan.parameters[i].scalar.kind, i));
    values.outer.push_back(argument.slot);
  }
  check_aliases(plan, values.slots);
  keep(plan.holds);  // the plan may go before its tasks have ended
  for (const auto& step : plan.steps) {
    for (const auto index : step.makes) {
      const auto& made = plan.intermediates[index];
      values.intermediates[index] = alloc(made.shape, made.dtype);
    }
    std::vector<Args> members;
    auto one = bound_call(plan, step, values, members);
    values.numbers.push_back(
        step.members.empty() ? submit(step.callable, std::move(one))
                             : submit_group(step.callable, std::move(members), step.chips, std::move(one)));
    for (const auto index : step.drops) values.intermediates[index] = Tensor();
  }
  if (values.numbers.size() == 1) return values.numbers.front();
  const auto steps = values.numbers;
  const auto number = join(plan.name, std::move(values.numbers));
  if (recorder_) recorder_->joined(number, steps);
  return number;
}

/// Ends when all of them have; as they did.
TaskNumber ProgramCore::join(const std::string& name, std::vector<TaskNumber> tasks) {
  Submission line;
  line.kind = Submission::Kind::join;
  line.number = next_task_++;
  line.body = std::make_shared<TaskBody>();
  line.body->extras = std::make_shared<SubmitExtras>();
  line.body->extras->name = name;
  line.body->extras->after = std::move(tasks);
  ++submitted_;
  const auto number = line.number;
  append(std::move(line));
  return number;
}

BoundProgram detail::bind_plan(Plan plan, PlanCall call) {
  BoundProgram bound;
  bound.name = plan.name();
  bound.plain = [plan = std::move(plan), call = std::move(call)](Orchestrator& node) {
    node.submit_gathered(plan, call);
  };
  return bound;
}

}  // namespace troupe::actors
