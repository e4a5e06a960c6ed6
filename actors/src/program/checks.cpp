// What a program is refused at once: a submit that can never be met, or that says what makes no sense.
#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "program/core.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/access.hpp"

namespace troupe::actors {
namespace {

/// As its program calls it.
std::string task_title(const Callable& callable, const SubmitExtras* extras) {
  const bool named = extras != nullptr && !extras->name.empty();
  return "task \"" + (named ? extras->name : callable.name) + "\"";
}

/// One kernel, as far as is known here: packed callables and orchestrations take as much as chip programs do,
/// and their platform says what they are.
bool is_kernel(const Callable& callable) {
  if (callable.descriptor != nullptr) return callable.descriptor->kind == TROUPE_CALLABLE_KERNEL;
  const std::string_view bytes(reinterpret_cast<const char*>(callable.bytes.data()), callable.bytes.size());
  return bytes.starts_with(
             "\x7f"
             "ELF") &&
         bytes.find("framework_bind_runtime") == bytes.npos;
}

/// A view and where it lies.
std::string place_in_buffer(const runtime::Tensor& view) {
  return to_string(view) + " of a buffer of " + std::to_string(view.buffer_bytes()) + " bytes";
}

}  // namespace

/// Where it goes, as a number; -1: anywhere. Throws where it can never run.
std::int32_t ProgramCore::check_target(const Callable& callable,
                                       const std::optional<OnExecutor>& target) const {
  const bool pod = node_->executors.of_workers();
  const int chips = node_->executors.chips();
  if (callable.kind == CallableKind::function) {
    if (node_->executors.sub_workers() == 0) {
      throw Error(Errc::bad_argument,
                  node_->name + " has no sub-worker to run function \"" + callable.name + "\"",
                  "configure sub_workers = 1");
    }
    if (target) {
      throw Error(Errc::bad_argument,
                  "function \"" + callable.name + "\" runs on a sub-worker, not on a chip");
    }
    return -1;
  }
  if ((callable.kind == CallableKind::program) != pod) {
    throw Error(
        Errc::bad_argument,
        pod ? "\"" + callable.name + "\" is not a program, and " + node_->name + " runs programs on its nodes"
            : "\"" + callable.name + "\" is a program, and " + node_->name + " runs kernels on its chips",
        pod ? "submit a program that submits it" : "submit it at the level above, or co_await it");
  }
  if (chips == 0) {
    throw Error(Errc::no_such_chip,
                node_->name + " has no " + (pod ? "node" : "chip") + " to run \"" + callable.name + "\"",
                "configure some, or add one");
  }
  if (!target) return -1;
  const auto& executors = node_->executors;
  const bool countable = std::in_range<int>(target->index);
  if (!countable || !executors.takes_tasks(static_cast<int>(target->index))) {
    const auto number = std::to_string(target->index);
    const std::string what = pod ? "node" : "chip";
    if (countable && executors.was_removed(static_cast<int>(target->index))) {
      throw Error(Errc::chip_retired, what + " number " + number + " of " + node_->name +
                                          " was removed: it " + executors.numbers());
    }
    throw Error(Errc::no_such_chip,
                node_->name + " has no " + what + " number " + number + ": it " + executors.numbers(),
                target->index < 0 ? "leave the number out where any will do" : "");
  }
  return static_cast<std::int32_t>(target->index);
}

/// Of a submit of `callable`; null: of a read.
void ProgramCore::check_arguments(const Callable* callable, const Arguments& args,
                                  const SubmitExtras* extras) const {
  const auto which = [&](std::size_t i) {
    if (callable == nullptr) return std::string("the tensor to read");
    return task_title(*callable, extras) + ": tensor argument " + std::to_string(i);
  };
  if (callable != nullptr && callable->kind == CallableKind::chip &&
      (args.tensors.size() > runtime::limits::core_tensors ||
       args.scalars.size() > runtime::limits::core_scalars) &&
      is_kernel(*callable)) {
    throw Error(Errc::bad_argument,
                task_title(*callable, extras) + ": kernel \"" + callable->name + "\" got " +
                    std::to_string(args.tensors.size()) + " tensors and " +
                    std::to_string(args.scalars.size()) + " scalars",
                "a kernel takes at most " + std::to_string(runtime::limits::core_tensors) + " tensors and " +
                    std::to_string(runtime::limits::core_scalars) +
                    " scalars; a chip program takes more, or join some of them into one tensor");
  }
  if (callable != nullptr && extras != nullptr && extras->retries > 0 && !extras->idempotent)
    check_retry(*callable, args, extras);
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto& arg = args.tensors[i];
    const auto buffer = arg.tensor.buffer();
    if (buffer.arena == program_arena && buffer.generation != static_cast<std::uint32_t>(run_)) {
      throw Error(Errc::wrong_program, which(i) + " is an intermediate of another run");
    }
    if (is_device_arena(buffer.arena) && chip_with_arena(node_->number, buffer.arena) < 0) {
      throw Error(Errc::bad_argument, which(i) + " lives on a chip of another node, not of " + node_->name,
                  "copy it into host memory first (copy_from): no node reaches into another's chips");
    }
    if (arg.tag == runtime::Tag::in && buffer.arena == program_arena) {
      check_written(which(i), arg.tensor, callable == nullptr);
    }
    if (!arg.tensor.allocated() && arg.tensor.bytes() > 0) {
      throw Error(Errc::bad_argument, which(i) + " has no buffer", "make it with tensor() or alloc()");
    }
  }
}

void ProgramCore::check_retry(const Callable& callable, const Arguments& args, const SubmitExtras* extras) {
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    if (args.tensors[i].tag != runtime::Tag::inout) continue;
    throw Error(Errc::retry_refused,
                task_title(callable, extras) + ": tensor argument " + std::to_string(i) +
                    " is inout: running the task again would start from what the failed attempt left behind",
                "add `idempotent` if that is harmless");
  }
}

/// What may have changed since the plan was recorded: of all its steps before one of them is submitted.
void ProgramCore::check_steps(const PlanImage& plan, const detail::PlanCall& call) const {
  for (const auto& step : plan.steps) {
    if (step.chips.empty()) (void)check_target(*step.callable, step.call.target);
    for (const int chip : step.chips) (void)check_target(*step.callable, OnExecutor{chip});
    check_group_size(step.members.size());
    const auto* extras = step.call.extras.get();
    if (!call.retry || call.retry->attempts == 0 || call.idempotent ||
        (extras != nullptr && extras->idempotent))
      continue;
    check_retry(*step.callable, step.call.args.values, extras);
    for (const auto& member : step.members) check_retry(*step.callable, member.values, extras);
  }
}

void ProgramCore::check_group_size(std::size_t members) const {
  if (members <= static_cast<std::size_t>(std::max(0, node_->executors.chips()))) return;
  throw Error(Errc::group_too_large, "a group of " + std::to_string(members) +
                                         " can never run together: " + node_->name + " has " +
                                         std::to_string(node_->executors.chips()) + " executors for it");
}

/// Members run at the same time, so nobody could say whose bytes stay.
void ProgramCore::check_members(const Callable& callable, const std::vector<Args>& members,
                                const SubmitExtras* extras) {
  struct Out {
    std::size_t member, argument;
    const runtime::Tensor* view;
  };
  std::vector<Out> outs;
  for (std::size_t m = 0; m < members.size(); ++m) {
    const auto& tensors = members[m].values.tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto tag = tensors[i].tag;
      const bool written =
          tag == runtime::Tag::out || tag == runtime::Tag::out_existing || tag == runtime::Tag::inout;
      if (written && tensors[i].tensor.bytes() > 0) outs.push_back({m, i, &tensors[i].tensor});
    }
  }
  const auto place = [](const Out& one) {
    const auto ref = one.view->buffer();
    return std::tuple(ref.arena, ref.generation, ref.offset);
  };
  std::stable_sort(outs.begin(), outs.end(), [&](const Out& a, const Out& b) { return place(a) < place(b); });
  for (std::size_t i = 0; i < outs.size(); ++i) {
    for (std::size_t k = i + 1; k < outs.size() && place(outs[k]) == place(outs[i]); ++k) {
      if (outs[i].member == outs[k].member ||
          !runtime::overlaps(runtime::make_box(*outs[i].view), runtime::make_box(*outs[k].view))) {
        continue;
      }
      throw Error(Errc::bad_argument,
                  task_title(callable, extras) + ": tensor argument " + std::to_string(outs[i].argument) +
                      " of member " + std::to_string(outs[i].member) + " and tensor argument " +
                      std::to_string(outs[k].argument) + " of member " + std::to_string(outs[k].member) +
                      " are outputs in the same memory, and members run at the same time",
                  "give each member a part of its own (rows, slice), or pass it as no_dep where they agree "
                  "among themselves");
    }
  }
}

/// Of an intermediate that is only read. A task may know which part of its argument is there; `all`: who asks
/// takes every element.
void ProgramCore::check_written(const std::string& which, const runtime::Tensor& view, bool all) const {
  constexpr auto hint = "submit the task that writes it first; what writes a part of it takes it as inout";
  const auto number = view.buffer().offset;
  if (unwritten_.contains(number)) {
    throw Error(Errc::bad_argument, which + " is an intermediate that nothing has written", hint);
  }
  const auto known = parts_.find(number);
  if (known == parts_.end()) return;
  if (known->second.none_of(view)) {
    throw Error(Errc::bad_argument,
                which + ", " + place_in_buffer(view) +
                    ", is a part of an intermediate that nothing has written; other parts of it were",
                hint);
  }
  if (!all) return;
  if (const auto missing = known->second.missing_in(view)) {
    throw Error(Errc::bad_argument,
                which + ", " + to_string(view) +
                    ", has a part that nothing has written: " + place_in_buffer(*missing),
                "read the part that was written, or submit what writes the rest first");
  }
}

/// A tensor of another System has a number that means another buffer here.
void ProgramCore::check_system(const Callable& callable, const Args& args, const SubmitExtras* extras) const {
  const auto* here = node_->services.get();
  const auto foreign = args.system == nullptr || args.system == here ? args.of_another : args.of_system;
  if (foreign >= 0) {
    throw Error(Errc::wrong_program,
                task_title(callable, extras) + ": tensor argument " + std::to_string(foreign) +
                    " is of another System",
                of_another_system);
  }
  for (const auto& domain : args.domains) {
    const auto arena = domain.window.buffer().arena;
    if ((domain.system != nullptr && domain.system != here) ||
        (is_device_arena(arena) && chip_with_arena(node_->number, arena) < 0)) {
      throw Error(Errc::bad_argument,
                  task_title(callable, extras) + ": its domain is one of another node, not of " + node_->name,
                  "a domain is used on the node that formed it");
    }
  }
}

void ProgramCore::note_writes(const Arguments& args) {
  for (const auto& arg : args.tensors) {
    const auto buffer = arg.tensor.buffer();
    if (buffer.arena != program_arena || arg.tag == runtime::Tag::in) continue;
    // Whoever takes it without a word about dependencies may write it too, and what is around it.
    const bool whole = arg.tag == runtime::Tag::no_dep ||
                       (arg.tensor.is_contiguous() && arg.tensor.bytes() == arg.tensor.buffer_bytes());
    auto parts = parts_.find(buffer.offset);
    if (!whole && parts == parts_.end() && unwritten_.contains(buffer.offset)) {
      parts = parts_.try_emplace(buffer.offset).first;
    }
    unwritten_.written(buffer.offset);
    if (parts == parts_.end()) continue;
    if (!whole) parts->second.add(arg.tensor);
    if (whole || parts->second.all(arg.tensor.buffer_bytes())) parts_.erase(parts);
  }
}

/// The options of a submit, into what travels; refuses what was said and makes no sense.
void ProgramCore::take_options(const Callable& callable, detail::SubmitCall& call) const {
  const auto bad = [&](const std::string& what, const std::string& hint, Errc code = Errc::bad_argument) {
    return Error(code, task_title(callable, call.extras.get()) + ": " + what, hint);
  };
  if (!std::in_range<std::int8_t>(call.priority.value)) {
    throw bad("priority(" + std::to_string(call.priority.value) + ") is not from -128 to 127",
              "the highest goes first; 0 is usual");
  }
  for (const auto& before : call.after) {
    const auto program = before.program.lock();
    if (before.number == 0) throw bad("after(…) of an empty Task", "keep what submit returns");
    if (!program || program->core != this) {
      throw bad("after(…) names task " + std::to_string(before.number) + " of another program",
                "wait for it there, or pass what it wrote as a tensor", Errc::wrong_program);
    }
    call.more().after.push_back(before.number);
  }
  if (call.deadline) {
    if (call.deadline->value == std::chrono::nanoseconds::min()) {
      throw bad("a deadline that is no number (NaN), or is over before it begins",
                "a deadline is a time from the submit on, of up to 292 years; leave it out for none");
    }
    if (call.deadline->value.count() <= 0) {
      throw bad("deadline(" + std::to_string(call.deadline->value.count()) + " ns) is over before it begins",
                "a deadline is a time from the submit on, of up to 292 years; leave it out for none");
    }
    call.more().deadline = call.deadline->value;
  }
  if (call.retry) {
    if (!std::in_range<std::uint32_t>(call.retry->attempts)) {
      throw bad("retry(" + std::to_string(call.retry->attempts) + ") is not from 0 to 4294967295",
                "it is the number of further attempts");
    }
    call.more().retries = static_cast<std::uint32_t>(call.retry->attempts);
  }
  if (!call.extras) return;
  if (call.extras->config) {
    if (auto fine = runtime::validate(*call.extras->config); !fine) {
      throw bad(fine.error().message(), fine.error().hint());
    }
  }
  if (callable.kind != CallableKind::chip && (call.extras->blocks != 0 || call.extras->config)) {
    throw bad(call.extras->blocks != 0 ? "blocks(…) is for kernels"
                                       : "a CallConfig is for kernels and chip programs",
              "leave it out");
  }
}

}  // namespace troupe::actors
