// What a program submitted: from lines to graph nodes, and back when they have ended.
#include "run/state.hpp"

#include <algorithm>
#include <utility>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// Records kept for tasks to come: as many as a program may have unfinished, by default.
constexpr std::size_t most_spare = 8192;

}  // namespace

RunState::RunState(RunConfig config)
    : config_(std::move(config)),
      memory_(std::make_shared<RunMemory>()),
      graph_(config_.graphs ? config_.graphs->take()
                            : runtime::TaskGraph(graph_config(config_.arena_bytes))) {
  if (config_.recorder) tracer_.emplace(config_.recorder, config_.path, config_.name, config_.above);
}

RunState::~RunState() {
  if (config_.graphs) config_.graphs->keep(std::move(graph_));
}

runtime::TaskGraphConfig graph_config(std::uint64_t arena_bytes) {
  runtime::TaskGraphConfig graph;
  graph.arena_bytes.fill(arena_bytes);
  return graph;
}

void RunMemory::keep(std::shared_ptr<BufferHold> hold) {
  if (!kept_.insert(hold.get()).second) return;
  if (hold->buffer != nullptr) hold->buffer->begin_run();
  holds_.push_back(std::move(hold));
}

std::vector<std::shared_ptr<Buffer>> RunMemory::wanted_home() const {
  std::vector<std::shared_ptr<Buffer>> list;
  for (const auto& hold : holds_) {
    auto* buffer = hold->buffer;
    if (buffer == nullptr || buffer->kept_by() == nullptr) continue;
    if (buffer->kind() == Buffer::Kind::borrowed || buffer->looked_at())
      list.push_back(buffer->shared_from_this());
  }
  return list;
}

void RunMemory::hand_over() {
  for (const auto& hold : holds_) {
    auto* buffer = hold->buffer;
    if (buffer == nullptr || buffer->is_lost()) continue;
    if (buffer->kind() == Buffer::Kind::borrowed || buffer->host_may_write()) buffer->changed_at_home();
  }
  give_back();
}

void RunMemory::give_up_loans() {
  for (auto& hold : holds_) {
    // What has no buffer keeps memory that others own: an array, a part of a chip's memory.
    if (hold->buffer == nullptr) {
      hold = nullptr;
    } else if (hold->buffer->kind() == Buffer::Kind::borrowed) {
      hold = hold->buffer->shared_from_this();
    }
  }
  std::erase(holds_, nullptr);
}

/// Of a run that was ended from outside: when no task of it works on anything.
void RunMemory::give_back() {
  if (std::exchange(given_back_, true)) return;
  for (const auto& hold : holds_) {
    if (hold->buffer != nullptr) hold->buffer->end_run();
  }
}

RunState::Record* RunState::find(TaskNumber number) {
  if (number < oldest_ || number - oldest_ >= records_.size()) return nullptr;
  return records_[number - oldest_].get();
}
const RunState::Record* RunState::find(TaskNumber number) const {
  return const_cast<RunState*>(this)->find(number);
}

void RunState::submit(Submit& submit) {
  for (auto& hold : submit.holds) memory_->keep(std::move(hold));
  for (auto& line : submit.lines) apply(line);
}

void RunState::apply(Submission& line) {
  switch (line.kind) {
    case Submission::Kind::task:
    case Submission::Kind::group:
    case Submission::Kind::read:
    case Submission::Kind::join:
      apply_task(line);
      break;
    case Submission::Kind::alloc:
      apply_alloc(line);
      break;
    case Submission::Kind::release:
      if (auto known = intermediates_.find(line.number); known != intermediates_.end()) {
        graph_.release(known->second.ref);
        if (const auto kept = memory_->intermediates.find(known->second.buffer);
            kept != memory_->intermediates.end()) {
          kept->second.released = true;
          if (kept->second.tasks == 0) memory_->intermediates.erase(kept);
        }
        intermediates_.erase(known);
      }
      break;
    // Depth is checked by the program, so these do not fail.
    case Submission::Kind::scope_begin:
      (void)graph_.begin_scope();
      break;
    case Submission::Kind::scope_end:
      (void)graph_.end_scope();
      break;
  }
}

void RunState::apply_alloc(const Submission& line) {
  if (cancelled_) return;
  auto made = graph_.alloc(line.bytes);
  if (made) {
    intermediates_.emplace(line.number, Known{*made, line.buffer.get()});
    if (line.buffer) memory_->intermediates[line.buffer.get()].buffer = line.buffer;
    return;
  }
  // The program has gone on: what uses the intermediate will be refused; this is why.
  if (!program_error_) program_error_ = made.error();
}

/// Names the graph's references instead of the program's, and collects the accesses. False: an intermediate
/// that does not exist any more.
bool RunState::add_accesses(Arguments& args) {
  for (auto& arg : args.tensors) {
    if (arg.tensor.buffer().arena == program_arena) {
      const auto known = intermediates_.find(arg.tensor.buffer().offset);
      if (known == intermediates_.end()) return false;
      arg.tensor = arg.tensor.in_buffer(known->second.ref);
    }
    accesses_.add(arg.tensor, arg.tag);
  }
  return true;
}

/// A task that names intermediates begins, or has ended.
void RunState::count(const TaskBody& body, bool begins) {
  for_each_member(body, [&](const Arguments& args) {
    for (const auto& operand : args.tensors) {
      if (operand.buffer == nullptr || operand.buffer->kind() != Buffer::Kind::intermediate) continue;
      const auto known = memory_->intermediates.find(operand.buffer);
      if (known == memory_->intermediates.end()) continue;
      if (begins) {
        ++known->second.tasks;
      } else if (--known->second.tasks == 0 && known->second.released) {
        memory_->intermediates.erase(known);
      }
    }
  });
}

/// What the task was to write has no newest version any more.
void RunState::void_outputs(const Record& record, const Error& cause) {
  for_each_member(*record.body, [&](const Arguments& args) {
    for (const auto& operand : args.tensors) {
      if (operand.buffer == nullptr || !runtime::writes(operand.tag)) continue;
      const bool all = is_whole(operand);
      const auto why =
          Error(Errc::data_lost,
                (all ? "" : "a part of ") + operand.buffer->title() + " has no valid bytes: task \"" +
                    std::string(record.body->name()) + "\", which was to write it, did not end well",
                write_again)
              .caused_by(cause);
      all ? operand.buffer->lose(why) : operand.buffer->lose_part(box_of(operand), why);
    }
  });
}

void RunState::apply_task(Submission& line) {
  auto record = spare_.empty() ? std::make_unique<Record>() : std::move(spare_.back());
  if (!spare_.empty()) spare_.pop_back();
  record->number = line.number;
  record->body = std::move(line.body);
  record->priority = line.priority;
  record->target = line.target;
  const auto& callable = record->body->callable;
  if (callable == nullptr) {
    record->kind = read_kind;  // or a join, which the graph ends by itself
  } else {
    record->kind = static_cast<std::uint8_t>(callable->kind);
  }
  auto& body = *record->body;
  if (body.extras) {
    record->retries = body.extras->retries;
    auto& members = body.extras->members;
    if (members.size() == 1) {
      // A group of one is a task.
      body.args = std::move(members.front());
      members.clear();
      if (!body.extras->chips.empty()) record->target = body.extras->chips.front();
    } else if (!members.empty()) {
      record->members = static_cast<std::uint32_t>(members.size());
      record->target = -1;
    }
  }
  if (record->kind == chip_kind && record->members == 1 && record->target < 0) {
    // Before the graph sees it: in-order dispatch would send it to where its producers are.
    record->target = home_of(body.args, config_.node_number);
    if (record->target < 0) record->target = config_.only_chip;
  }
  auto* raw = record.get();
  // Numbers are dense, but a program's lines may skip some (refused before they left).
  while (oldest_ + records_.size() < line.number) records_.emplace_back();
  records_.push_back(std::move(record));
  ++live_;
  if (raw->kind != read_kind) ++report_.tasks;

  accesses_.clear();
  auto* members = body.extras && !body.extras->members.empty() ? &body.extras->members : nullptr;
  bool known = members != nullptr || add_accesses(body.args);
  if (members != nullptr) {
    for (auto& member : *members) known = add_accesses(member) && known;
  }
  if (!known) {
    return refuse(*raw, program_error_
                            ? *program_error_
                            : Error(Errc::bad_argument, "an intermediate is used after its scope ended"));
  }
  count(body, true);
  raw->counted = true;
  if (tracer_ && raw->kind != read_kind) {
    std::vector<const Arguments*> arguments;
    if (members == nullptr) arguments.push_back(&body.args);
    if (members != nullptr) {
      for (const auto& member : *members) arguments.push_back(&member);
    }
    tracer_->submitted(line.number, body, arguments);
  }
  std::vector<runtime::TaskId> after;
  if (body.extras) {
    for (const auto& domain : body.extras->domains) {
      if (domain.ordered && domain.window.valid()) accesses_.add(domain.window, runtime::Tag::inout);
    }
    for (const auto number : body.extras->after) {
      if (auto* before = find(number)) {
        after.push_back(before->id);
      } else if (const auto id = failures_.id_of(number)) {
        after.push_back(*id);
      } else if (failures_.failed(number)) {
        return refuse(*raw, Error(Errc::poisoned, "it was to come after task " + std::to_string(number) +
                                                      ", which failed long ago"));
      }
    }
    if (body.extras->deadline.count() > 0)
      effects_.deadlines.emplace_back(line.number, body.extras->deadline);
    hold_domains(body, +1);
  }
  runtime::TaskSpec spec;
  spec.name = body.name();
  spec.cookie = reinterpret_cast<std::uintptr_t>(raw);
  spec.kind = raw->kind;
  spec.priority = static_cast<std::int32_t>(raw->priority);
  spec.members = raw->members;
  spec.node_only = line.kind == Submission::Kind::join;
  spec.executor = raw->target >= 0 ? static_cast<runtime::ExecutorId>(raw->target) : runtime::any_executor;
  spec.accesses = accesses_.span();
  spec.after = after;
  auto id = graph_.submit(spec);
  if (!id) {
    if (body.extras) hold_domains(body, -1);
    return refuse(*raw, cancelled_ ? *cancelled_ : id.error());
  }
  raw->id = *id;
}

/// A task that never got into the graph.
void RunState::refuse(Record& record, const Error& error) {
  const auto in_words = [&]() -> Error {
    const std::string title = "task \"" + std::string(record.body->name()) + "\": ";
    if (record.kind != read_kind || error != runtime::Errc::invalid_args)
      return {error.code(), title + error.message(), error.hint()};
    // The graph counts the arguments of a task; a read has but the tensor that it is of.
    return {error.code(),
            "a read of " + to_string(record.body->args.tensors.front().tensor) +
                ", an intermediate whose scope, or last handle, has ended",
            "read it inside its scope, or make it outside"};
  };
  auto named = cancelled_ ? *cancelled_ : in_words();
  ended(record, named, cancelled_.has_value());
}

void RunState::hold_domains(const TaskBody& body, std::int32_t delta) {
  if (!body.extras) return;
  for (const auto& domain : body.extras->domains) {
    if (domain.domain != 0) effects_.domain_holds.emplace_back(domain.domain, delta);
  }
}

/// As its program hears of it.
Error RunState::poison_error(const Record& record, const Error& cause) const {
  if (record.cancel_reason) return *record.cancel_reason;
  if (cancelled_) return *cancelled_;
  // What only stands for others ends as the first of them that failed.
  if (record.kind == read_kind && record.body->args.tensors.empty()) {
    const auto* first = &cause;
    while (first->cause() != nullptr && (*first == runtime::Errc::poisoned || *first == Errc::poisoned))
      first = first->cause();
    return *first;
  }
  return Error(Errc::poisoned, std::string(record.body->name()) + " was not run: what it needs failed")
      .caused_by(cause);
}

/// A task is over, one way or the other: everything that remembers it learns so. `record` is gone afterwards.
void RunState::ended(Record& record, const std::optional<Error>& error, bool poisoned) {
  --live_;
  ++ended_;
  if (!error) {
    if (record.kind != read_kind) ++report_.completed;
  } else {
    if (tracer_ && (poisoned || record.answered == 0)) tracer_->never_ran(*record.body, poisoned, *error);
    failures_.add(record.number, record.id, poisoned || cancelled_ ? poison_error(record, *error) : *error,
                  poisoned);
    report_.all_poisoned += poisoned ? 1 : 0;
    if (poisoned && report_.poisoned.size() < 64) report_.poisoned.emplace_back(record.body->name());
  }
  if (record.id) hold_domains(*record.body, -1);
  // Where a task did not end well, something of it may still be inside its buffers: they go with the run.
  if (record.counted && (!error || !record.sent)) count(*record.body, false);
  for (const auto token : record.waiters) wake(token, failures_.await(record.number, latest()));
  // A read that never came to its data.
  if (record.read_token != 0) wake(record.read_token, failures_.await(record.number, latest()));
  auto& slot = records_[record.number - oldest_];
  auto spent = std::move(slot);
  while (!records_.empty() && !records_.front()) {
    records_.pop_front();
    ++oldest_;
  }
  if (spare_.size() < most_spare) {
    // Nobody reads a chip's task any more; its arguments need not wait for the rest of their block.
    if (!error && spent->kind == chip_kind && !spent->body->kept) spent->body->args = {};
    spent->clear();
    spare_.push_back(std::move(spent));
  }
}

bool RunState::everything_ended(TaskNumber upto) { return records_.empty() || oldest_ > upto; }

// --- the end -------------------------------------------------------------------------------------

void RunState::program_ended(const ProgramEnded& over) {
  program_over_ = true;
  if (over.error && !program_error_) program_error_ = over.error;
  graph_.close();
}

void RunState::program_lost(const Error& reason) {
  if (program_over_) return;
  program_ended({reason});
  cancel(reason);
  // What it was reading, it reads no more.
  for (const auto number : unfinished(records_.size())) {
    if (const auto* record = find(number); record->kind == read_kind && record->in_flight) read_done(number);
  }
}

void RunState::cancel(const Error& reason) {
  if (cancelled_) return;
  cancelled_ = reason;
  memory_->give_up();
  if (finished_) {  // what is still made again in its name
    effects_.cancel_all = true;
    return;
  }
  report_.unfinished = live_;
  for (const auto& record : records_) {
    if (report_.waiting.size() == 16) break;
    if (!record) continue;
    report_.waiting.push_back(record->in_flight ? "\"" + std::string(record->body->name()) + "\" is under way"
                                                : why_not_ready(*record));
  }
  graph_.cancel_all(reason);
  effects_.cancel_all = true;
  if (!program_over_) effects_.stop_program = reason;
  for (auto& drain : drains_) wake(drain.token, reason);
  for (auto& room : rooms_) wake(room.first, reason);
  drains_.clear();
  rooms_.clear();
}

void RunState::deadline_due(TaskNumber task) {
  if (task == 0) {
    return cancel({Errc::deadline_exceeded, "program \"" + config_.name + "\" did not end in time"});
  }
  auto* record = find(task);
  if (record == nullptr) return;
  record->cancel_reason = Error(Errc::deadline_exceeded,
                                "task \"" + std::string(record->body->name()) + "\" did not end in time");
  record->retries = 0;
  if (!graph_.cancel(record->id, *record->cancel_reason)) effects_.cancels.push_back(task);
}

void RunState::maybe_finish() {
  if (!program_over_ || live_ != 0 || finished_) return;
  finished_ = true;
  auto error = cancelled_ ? cancelled_ : failures_.first_unknown();
  if (!error) error = program_error_;
  if (error && error->path().rfind(config_.node, 0) != 0) error = error->inside(config_.node);
  if (tracer_) tracer_->finished(error ? &*error : nullptr);
  report_.error = std::move(error);
  effects_.finished = report_;
}

}  // namespace troupe::actors
